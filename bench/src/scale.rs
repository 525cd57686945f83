//! Cost of a list page with few and with many items.

use std::time::Instant;

use tenon::{
    domain::id::EnvironmentId,
    store::{
        PageRequest, Table,
        errors::{ErrorQuery, Errors},
        record_pages::Window,
        retention::Retention,
        users::Users,
        workflows::Workflows,
    },
};
use tests::{
    aws,
    capacity::CapacityMeter,
    delivery_harness::DeliveryHarness,
    setting,
    table_items::{load_users, load_workflows},
};

use crate::figures::{Spread, spread};

/// Number of pages read per list.
const PAGES: usize = 10;

/// Cost of a page of 100 items.
#[derive(Debug)]
pub struct Page {
    /// Kind of items.
    pub what: &'static str,
    /// Total number of items.
    pub there: usize,
    /// Read units of a page.
    pub units: Spread,
    /// Milliseconds per page, most of which the local AWS takes.
    pub time: Spread,
}

/// Measures lists of users, of workflows and of errors, each with 1,000 and with 100,000 items.
pub async fn scale() -> Vec<Page> {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let (client, units) = CapacityMeter::attach(&aws);
    let users = Users(Table::of(client.clone(), setting("DIRECTORY_TABLE")));
    let workflows = Workflows(Table::of(client.clone(), setting("DIRECTORY_TABLE")));
    let errors = Errors { table: Table::of(client, setting("ERRORS_TABLE")), retention: Retention::days(30) };
    let mut pages = Vec::new();
    for there in [1_000, 100_000] {
        let environment = EnvironmentId::new();
        load_users(&aws, environment, there).await;
        let mut after = None;
        let page = read("users", there, &units, async || {
            let request = PageRequest::new(after.as_deref(), 100);
            after = users.list(environment, None, request).await.expect("a page of users").next;
        });
        pages.push(page.await);
    }
    for there in [1_000, 100_000] {
        let environment = EnvironmentId::new();
        load_workflows(&aws, environment, there).await;
        let mut after = None;
        let page = read("workflows of an environment", there, &units, async || {
            after = workflows
                .page(environment, PageRequest::new(after.as_deref(), 100))
                .await
                .expect("a page of workflows")
                .next;
        });
        pages.push(page.await);
    }
    for there in [1_000, 100_000] {
        let harness = DeliveryHarness::new().await;
        for _ in 0..there / 1_000 {
            harness.record_errors(1_000).await;
        }
        let mut query = ErrorQuery { window: Window { limit: 100, ..Window::default() }, ..ErrorQuery::default() };
        let page = read("errors of an environment", there, &units, async || {
            query.window.after = errors.page(harness.environment, &query).await.expect("a page of errors").next;
        });
        pages.push(page.await);
    }
    pages
}

/// Reads pages sequentially.
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
