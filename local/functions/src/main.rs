//! All functions in one binary, for local runs and tests. Its argument is the name of the function.

use tenon::start::StartError;

include!(concat!(env!("OUT_DIR"), "/functions.rs"));

/// Entry point of a function's own binary.
type Main = fn() -> Result<(), StartError>;

fn main() -> Result<(), StartError> {
    let name = std::env::args().nth(1).unwrap_or_default();
    find(&name).ok_or_else(|| format!("no function has the name {name:?}"))?()
}
