//! Lambda functions of Tenon. Each endpoint has its own file, and the OpenAPI document is generated
//! from the handlers.
//!
//! Each file reads from top to bottom: caller, input, domain, output. Each binary in `bin/` serves
//! one handler.

pub mod admin;
pub mod api;
pub mod authorizer;
mod changes;
pub mod workers;
