//! Open jobs of all environments.

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::table::{Filter, LISTING, Range, StoreError, Table};
use crate::domain::{
    id::{EnvironmentId, ObjectId},
    timestamp::Timestamp,
};

/// Maximum number of jobs of an environment in a run, so that one with many does not keep others
/// waiting.
const MAX_PER_ENVIRONMENT: usize = 10;

/// Returns up to `limit` open jobs from partitions of the index `listing`, whose sort keys begin with
/// the environment. Begins at a random environment, so that every one has its turn. At least two
/// queries for each partition, and one more for each environment with many jobs.
pub(super) async fn open<J: DeserializeOwned>(
    directory: &Table,
    partitions: &[String],
    limit: usize,
    environment: impl Fn(&J) -> EnvironmentId + Copy,
) -> Result<Vec<J>, StoreError> {
    let start = random_environment().to_string();
    let ranges = [Range { low: start.clone(), ..Range::all(LISTING) }, Range { high: start, ..Range::all(LISTING) }];
    let of_each = limit.div_ceil(partitions.len().max(1));
    let found = partitions.iter().map(|partition| {
        let ranges = &ranges;
        async move {
            let mut jobs = Vec::new();
            for range in ranges {
                scan(directory, partition, range, of_each, environment, &mut jobs).await?;
            }
            Ok::<_, StoreError>(jobs)
        }
    });
    Ok(try_join_all(found).await?.into_iter().flatten().take(limit).collect())
}

/// Adds the first jobs of each environment in a range, up to `limit` in total.
async fn scan<J: DeserializeOwned>(
    directory: &Table,
    partition: &String,
    range: &Range,
    limit: usize,
    environment: impl Fn(&J) -> EnvironmentId,
    jobs: &mut Vec<J>,
) -> Result<(), StoreError> {
    let (mut after, mut current, mut count): (Option<String>, _, _) = (None, None, 0);
    while jobs.len() < limit {
        let position = (after.as_deref(), MAX_PER_ENVIRONMENT);
        let page = directory.page(std::slice::from_ref(partition), range, &Filter::default(), position).await?;
        for job in page.items {
            let of = environment(&job);
            if current != Some(of) {
                (current, count) = (Some(of), 0);
            }
            count += 1;
            if count <= MAX_PER_ENVIRONMENT && jobs.len() < limit {
                jobs.push(job);
            }
        }
        after = match (current, page.next) {
            (_, None) => return Ok(()),
            // Continues with the next environment: `~` sorts after all user ids.
            (Some(skipped), Some(_)) if count >= MAX_PER_ENVIRONMENT => Some(format!("{skipped}#~")),
            (_, next) => next,
        };
    }
    Ok(())
}

/// Returns the id of an environment that could have been created at any time.
fn random_environment() -> EnvironmentId {
    let now = Timestamp::now().seconds();
    let at = u64::try_from(rand::random_range(0..=now)).unwrap_or_default();
    ObjectId::at(Timestamp::from_milliseconds(at * 1000)).into()
}
