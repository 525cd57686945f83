//! Lambda functions of Tenon. Each endpoint has its own file, and the OpenAPI document is generated
//! from the handlers.
//!
//! The file of an endpoint reads from top to bottom: AWS calls, input, state, handler. Each binary
//! in `bin/` serves one handler.

pub mod admin;
pub mod api;
pub mod authorizer;
mod changes;
pub mod workers;

/// Allocator of the function that records errors. The items of 100 errors are thousands of small
/// texts, for which it takes a fifth less processor time than the allocator of the C library. A
/// start takes half a millisecond longer, so other functions, which gain less, do without it.
pub use mimalloc::MiMalloc as FastAllocator;
