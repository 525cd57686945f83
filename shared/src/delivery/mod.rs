//! Delivery of records to the destinations of their environment. A record is an error
//! or an event.
//!
//! # Guarantees
//!
//! * Every record is delivered at least once to each enabled destination that accepts it,
//!   or its delivery ends as `failed` or `cancelled`, which the API reports. A record that expires
//!   or is erased is dropped.
//! * Receivers may see duplicates and must deduplicate by the id of the record. Order is not
//!   guaranteed.
//! * A slow or failing destination delays neither other destinations nor other environments.
//! * A process may stop between any two steps. Each step is safe to repeat.
//! * A stored item that cannot be read does not block others. Its delivery fails alone.
//!
//! # Processes
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
//!        |
//!        | failed and deferred deliveries of both
//!        v
//!     pending <------------ replay <---- queue <----+
//!        |                     |                    |
//!        v                     v                    |
//!      drain <-- queue <-- drain_scheduler <----- sweep
//!        |
//!        +----------------------------------> EventBridge buses, webhooks
//! ```
//!
//! # Attempts
//!
//! `forward`, `first_attempts` and `drain` determine which deliveries are due. Every attempt then
//! takes the same steps:
//!
//! ```text
//!   deliveries with their records
//!        |
//!        v
//!     pipeline: wanted by the destination? ---> no: cancelled
//!        |
//!        v
//!     pipeline: backing off? ----------------> yes: skipped, stays pending
//!        |
//!        v
//!     senders: one Outcome per record
//!        |
//!        v
//!     pipeline: one Disposition per record
//!        |
//!        v
//!     recorder: deliveries, then destination health, then the next drain
//! ```
//!
//! # Modules
//!
//! * [`pipeline`]: the steps of an attempt.
//! * [`forward`]: reads the stream of the Errors table, makes first attempts to EventBridge buses,
//!   and enqueues first attempts for webhooks. `stream` parses the records.
//! * [`first_attempts`]: makes the queued first attempts to webhooks; those to buses become
//!   pending.
//! * [`recorder`]: records the results of attempts, updates destination health, and schedules a
//!   drain after first attempts that failed or were deferred.
//! * [`drain`]: sends the pending deliveries of one destination when they are due; one drain at a
//!   time holds the lease of a destination.
//! * [`drain_scheduler`]: schedules the next run of a drain with a delayed queue message.
//! * [`sweep`]: wakes drains and replays whose wake-up message was lost, and emits backlog metrics.
//! * [`replay`]: queues records for a destination again.
//! * [`senders`]: a sender per type of destination, [`eventbridge`] and [`webhook`], and one that
//!   selects by type.
//! * [`connections`]: checks and encrypts the connection of a destination before it is saved.
//! * [`guard`]: restricts webhooks to public addresses. `opened` knows when connections were
//!   opened.
//! * [`queues`]: message types and the SQS client.
//!
//! Rules without I/O, such as the retry schedule and the circuit, are in
//! [`crate::domain::delivery`] and [`crate::domain::health`].

pub mod connections;
pub mod drain;
pub mod drain_scheduler;
pub mod eventbridge;
pub mod first_attempts;
pub mod forward;
pub mod guard;
mod opened;
pub mod pipeline;
pub mod queues;
pub mod recorder;
pub mod replay;
pub mod senders;
mod stream;
pub mod sweep;
pub mod webhook;
