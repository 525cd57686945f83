//! Integration tests against a deployment of the template on the local AWS. `make test` starts one and
//! sets the environment that these tests read. The modules follow the routes and the parts of the
//! product.

mod api;
mod authorization;
mod costs;
mod delivery;
mod end_to_end;
mod function_binaries;
mod store;
mod tokens;
