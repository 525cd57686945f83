//! Integration tests against a deployment of the template on the local AWS. `make test` starts one
//! and sets the environment that these tests read. The modules follow the routes and the parts of
//! the product.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a helper that panics fails the test that calls it"
)]
#![allow(clippy::print_stdout, reason = "the test runner shows the output of a failed test")]

mod api;
mod authorization;
mod costs;
mod delivery;
mod end_to_end;
mod endpoints;
mod function_binaries;
mod store;
mod tokens;
