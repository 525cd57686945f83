//! Delivery of recorded errors to the destinations of their environment.
//!
//! # Guarantees
//!
//! * Every error is delivered at least once to each enabled destination whose filter accepts it, or
//!   its delivery ends as `failed` or `cancelled`, which the API reports. An error that expires or
//!   is erased is dropped.
//! * Receivers may see duplicates and must deduplicate by the id of the error. Order is not
//!   guaranteed.
//! * A slow or failing destination delays neither other destinations nor other environments.
//! * A process may stop between any two steps. Each step is safe to repeat.
//!
//! # Pipeline
//!
//! ```text
//!   Errors table
//!        |
//!        | stream
//!        v
//!     forward ------------------------------> EventBridge buses
//!        |
//!        | queue
//!        v
//!  first_attempts --------------------------> webhooks
//!
//!  forward and first_attempts record outcomes with recorder:
//!  failed and deferred deliveries become pending
//!        |
//!        v
//!     pending <------------ replay <---- queue <----+
//!        |                     |                    |
//!        v                     v                    |
//!      drain <-- queue <-- drain_scheduler <----- sweep
//!        |
//!        +----------------------------------> EventBridge buses, webhooks
//! ```
//!
//! # Modules
//!
//! * [`forward`]: reads the stream of the Errors table, makes first attempts to EventBridge buses,
//!   and enqueues first attempts for webhooks.
//! * [`first_attempts`]: makes the queued first attempts to webhooks.
//! * [`recorder`]: records the outcomes of first attempts, updates destination health, and
//!   schedules a drain for failed and deferred deliveries.
//! * [`drain`]: sends the pending deliveries of one destination when they are due; one drain at a
//!   time holds the lease of a destination.
//! * [`drain_scheduler`]: schedules the next run of a drain with a delayed queue message.
//! * [`sweep`]: wakes drains and replays whose wake-up message was lost, and emits backlog metrics.
//! * [`replay`]: queues recorded errors for a destination again.
//! * [`senders`]: selects the sender for the type of a destination: [`eventbridge`] or [`webhook`].
//! * [`guard`]: restricts webhooks to public addresses.
//! * [`queues`]: message types and the SQS client.
//!
//! Rules without I/O, such as the retry schedule and the circuit, are in
//! [`crate::domain::delivery`] and [`crate::domain::health`].

pub mod drain;
pub mod drain_scheduler;
pub mod eventbridge;
pub mod first_attempts;
pub mod forward;
pub mod guard;
pub mod queues;
pub mod recorder;
pub mod replay;
pub mod senders;
pub mod sweep;
pub mod webhook;
