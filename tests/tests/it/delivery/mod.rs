//! Delivery to destinations: EventBridge, webhooks, retries and the egress guard.

mod aws_faults;
mod backlog;
mod chaos;
mod guard;
mod tls;
mod webhooks;
