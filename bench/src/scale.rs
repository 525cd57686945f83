//! What a page costs where there is little, and where there is much.

use std::time::Instant;

use tenon::{
    domain::id::EnvironmentId,
    store::{
        Table,
        errors::{ErrorQuery, Errors, Retention},
        users::{UserQuery, Users},
    },
};
use tests::{aws, capacity::CapacityMeter, delivery_harness::DeliveryHarness, setting, table_items::load_users};

use crate::figures::{Spread, spread};

/// Pages that are read of each.
const PAGES: usize = 10;

/// A page of a hundred.
#[derive(Debug)]
pub struct Page {
    /// Of what.
    pub what: &'static str,
    /// How many there are.
    pub there: usize,
    /// The read units of a page.
    pub units: Spread,
    /// Its milliseconds, most of which are the local AWS's.
    pub time: Spread,
}

/// Users of an environment with a thousand and with a hundred thousand; errors of one with a thousand and with a hundred
/// thousand.
pub async fn scale() -> Vec<Page> {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (client, units) = CapacityMeter::attach(&aws);
    let users = Users(Table::of(client.clone(), setting("DIRECTORY_TABLE")));
    let errors = Errors { table: Table::of(client, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let mut pages = Vec::new();
    for there in [1_000, 100_000] {
        let environment = EnvironmentId::new();
        load_users(&aws, environment, there).await;
        let mut after = None;
        let page = read("users", there, &units, async || {
            let query = UserQuery { after: after.as_deref(), limit: 100, ..UserQuery::default() };
            after = users.list(environment, query).await.expect("a page of users").next;
        });
        pages.push(page.await);
    }
    for there in [1_000, 100_000] {
        let harness = DeliveryHarness::new().await;
        for _ in 0..there / 1_000 {
            harness.record_errors(1_000).await;
        }
        let mut query = ErrorQuery { limit: 100, ..ErrorQuery::default() };
        let page = read("errors of an environment", there, &units, async || {
            query.after = errors.page(harness.environment, &query).await.expect("a page of errors").next;
        });
        pages.push(page.await);
    }
    pages
}

/// Reads one page after the other.
async fn read(what: &'static str, there: usize, units: &CapacityMeter, mut next: impl AsyncFnMut()) -> Page {
    let (mut read, mut times) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        units.take();
        let started = Instant::now();
        next().await;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        read.push(units.take().read);
    }
    Page { what, there, units: spread(read), time: spread(times) }
}
