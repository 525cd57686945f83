//! The functions of Tenon: an endpoint per file, so that the OpenAPI document is generated from the same handlers.
//!
//! Each file reads top to bottom: who may call, input, domain, output. The binaries in `bin/` serve one handler each.

pub mod admin;
pub mod api;
pub mod authorizer;
pub mod workers;
