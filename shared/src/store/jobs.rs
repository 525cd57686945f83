//! Open jobs of all environments.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use rand::seq::SliceRandom;
use serde::de::DeserializeOwned;

use super::table::{Filter, LISTING, PageRequest, Range, StoreError, Table};
use crate::domain::{
    id::{EnvironmentId, UserId},
    timestamp::Timestamp,
};

/// Background job that concerns a user.
pub trait Job: DeserializeOwned {
    /// Returns the type of the job's item.
    fn kind(&self) -> &'static str;
    /// Returns the environment of the user.
    fn environment_id(&self) -> EnvironmentId;
    /// Returns the id of the user.
    fn user_id(&self) -> UserId;
    /// Returns the time of the request.
    fn started_at(&self) -> Timestamp;
}

/// Maximum number of jobs that are read from a partition. A job has some 300 bytes, so that is
/// three queries.
const MAX_LISTED: usize = 10_000;

/// Returns the open jobs in partitions of the index `listing`, in a random order in which
/// environments take turns. So one with many jobs keeps no other waiting, and no job that fails
/// each time keeps others waiting. One query per megabyte of each partition.
pub(super) async fn open<J: Job>(directory: &Table, partitions: &[String]) -> Result<Vec<J>, StoreError> {
    let (range, filter) = (Range::all(LISTING), Filter::default());
    let pages = partitions.iter().map(|partition| {
        directory.page(std::slice::from_ref(partition), &range, &filter, PageRequest::first(MAX_LISTED))
    });
    let pages = try_join_all(pages).await?;
    let mut jobs: Vec<J> = pages.into_iter().flat_map(|page| page.items).collect();
    jobs.shuffle(&mut rand::rng());
    let mut turns: HashMap<EnvironmentId, u32> = HashMap::new();
    let in_turn = jobs.into_iter().map(|job| {
        let turn = turns.entry(job.environment_id()).or_default();
        *turn += 1;
        (*turn, job)
    });
    let mut in_turn: Vec<(u32, J)> = in_turn.collect();
    in_turn.sort_by_key(|(turn, _)| *turn);
    Ok(in_turn.into_iter().map(|(_, job)| job).collect())
}
