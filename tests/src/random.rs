//! Random choices that can be repeated.

use std::cell::RefCell;

use rand::{RngCore, SeedableRng, rngs::StdRng};

thread_local! {
    static GENERATOR: RefCell<StdRng> = RefCell::new(StdRng::seed_from_u64(seed()));
}

/// Handle to the random numbers of a thread, and thus of a test. Their seed is printed with the
/// output of a failed test, and `TENON_SEED` repeats it. What depends on the order in which
/// concurrent tasks run is not repeated.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        GENERATOR.with_borrow_mut(RngCore::next_u32)
    }

    fn next_u64(&mut self) -> u64 {
        GENERATOR.with_borrow_mut(RngCore::next_u64)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        GENERATOR.with_borrow_mut(|generator| generator.fill_bytes(bytes));
    }
}

/// Returns the seed of `TENON_SEED`, or a new one.
#[allow(clippy::print_stdout, reason = "test runners show the output of failed tests")]
fn seed() -> u64 {
    let given = std::env::var("TENON_SEED").ok();
    let seed =
        given.map_or_else(rand::random, |seed| seed.parse().unwrap_or_else(|_| panic!("TENON_SEED is not a number")));
    println!("random choices of TENON_SEED={seed}");
    seed
}
