//! Open jobs of all environments.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use rand::seq::SliceRandom;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    keys,
    table::{Filter, Item, LISTING, PageRequest, Range, StoreError, Table, to_item},
};
use crate::domain::{
    id::{EnvironmentId, UserId},
    timestamp::Timestamp,
};

/// Kind of a background job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Deletes the data of a deleted user.
    Deletion,
    /// Sends events of a user's workflows after the user was disabled or enabled.
    StatusChange,
    /// Erases the errors and events of a user.
    Erasure,
}

impl JobKind {
    /// Returns the type of the items.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deletion => "deletion",
            Self::StatusChange => "statusChange",
            Self::Erasure => "erasure",
        }
    }

    pub(super) fn name_in_keys(self) -> &'static str {
        match self {
            Self::StatusChange => "status-change",
            Self::Deletion | Self::Erasure => self.as_str(),
        }
    }
}

/// Identity of a background job. A user has at most one of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId {
    /// Kind of the job.
    pub kind: JobKind,
    /// Environment of the user.
    pub environment: EnvironmentId,
    /// User.
    pub user: UserId,
}

/// Background job that concerns a user.
pub trait Job: DeserializeOwned {
    /// Returns the identity of the job.
    fn id(&self) -> JobId;
    /// Returns the time of the request.
    fn started_at(&self) -> Timestamp;
}

/// Returns the item of a job, which lists it as unfinished.
pub(super) fn item(job: &(impl Job + Serialize)) -> Result<Item, StoreError> {
    let listing = keys::listed_user_job(job.id()).listing();
    to_item(job.id().kind.as_str(), &keys::user_job(job.id()), job, &listing)
}

/// Maximum number of jobs that are read from a partition. A job has some 300 bytes, so that is
/// three queries.
const MAX_LISTED: usize = 10_000;

/// Returns the open jobs of some kinds, in a random order in which environments take turns. So one
/// with many jobs keeps no other waiting, and no job that fails each time keeps others waiting. One
/// query per megabyte of each of four partitions of a kind.
pub(super) async fn open<J: Job>(directory: &Table, kinds: &[JobKind]) -> Result<Vec<J>, StoreError> {
    let (range, filter) = (Range::all(LISTING), Filter::default());
    let partitions: Vec<String> = kinds.iter().flat_map(|kind| keys::user_jobs(*kind).partitions()).collect();
    let pages = partitions.iter().map(|partition| {
        directory.page(std::slice::from_ref(partition), &range, &filter, PageRequest::first(MAX_LISTED))
    });
    let pages = try_join_all(pages).await?;
    let mut jobs: Vec<J> = pages.into_iter().flat_map(|page| page.items).collect();
    jobs.shuffle(&mut rand::rng());
    let mut turns: HashMap<EnvironmentId, u32> = HashMap::new();
    let in_turn = jobs.into_iter().map(|job| {
        let turn = turns.entry(job.id().environment).or_default();
        *turn += 1;
        (*turn, job)
    });
    let mut in_turn: Vec<(u32, J)> = in_turn.collect();
    in_turn.sort_by_key(|(turn, _)| *turn);
    Ok(in_turn.into_iter().map(|(_, job)| job).collect())
}
