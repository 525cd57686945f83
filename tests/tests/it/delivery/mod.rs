//! Delivery to destinations: EventBridge, webhooks, retries and the egress guard.

mod aws_faults;
mod backlog;
mod chaos;
mod first_attempts;
mod guard;
mod retries;
mod roles;
mod tls;
mod webhooks;
