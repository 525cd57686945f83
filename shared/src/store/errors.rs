//! Error logs.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{
    keys,
    listing::{BY_ENVIRONMENT, BY_USER, Filter, Page, Position, Range, TABLE, View},
    table::{Item, StoreError, Table, to_item},
};
use crate::{
    aws::{SettingError, setting},
    domain::{
        error_log::{EngineText, ErrorKey, ErrorLog},
        fingerprint::Fingerprint,
        id::{EnvironmentId, ErrorId, UserId, WorkflowId},
        timestamp::Timestamp,
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExistingError {
    error_id: ErrorId,
}

/// An error as the indexes list it: what filters need.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedError {
    /// Its id.
    #[serde(rename = "sk")]
    pub error_id: ErrorId,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// Its user.
    pub user_id: UserId,
    /// The kind of its block.
    pub block_type: EngineText,
    /// When it went wrong.
    pub created_at: Timestamp,
    /// By which equal errors are one.
    pub fingerprint: Fingerprint,
}

impl ListedError {
    /// Its place in the indexes.
    pub fn position(&self) -> Position {
        keys::listed_error(self.workflow_id, self.error_id)
    }
}

/// The number of partitions over which the errors of an environment are listed.
pub const SHARDS: u32 = keys::ERROR_SHARDS;

/// How long errors and deliveries are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention(Duration);

impl Retention {
    /// From the setting `RETENTION_DAYS`.
    pub fn from_env() -> Result<Self, SettingError> {
        setting::<u32>("RETENTION_DAYS").map(Self::days)
    }

    /// So many days of 24 hours.
    pub fn days(days: u32) -> Self {
        Self(Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    /// The attribute by which DynamoDB removes what is past its time.
    pub(super) fn expires_at(self, from: Timestamp) -> AttributeValue {
        AttributeValue::N((from + self.0).seconds().to_string())
    }
}

/// The errors of all environments.
#[derive(Clone, Debug)]
pub struct Errors {
    /// The table of errors and deliveries.
    pub table: Table,
    /// How long they are kept.
    pub retention: Retention,
}

/// Among which errors is looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorScope {
    /// All of the environment.
    #[default]
    Environment,
    /// Those of a user.
    User(UserId),
    /// Those of a workflow.
    Workflow(WorkflowId),
}

/// Which errors are asked for.
#[derive(Clone, Debug, Default)]
pub struct ErrorQuery {
    /// Among which.
    pub scope: ErrorScope,
    /// From the second in which this lies.
    pub since: Option<Timestamp>,
    /// To the last second that begins before this.
    pub until: Option<Timestamp>,
    /// Of this user, where a workflow is looked at.
    pub user_id: Option<UserId>,
    /// Of this execution.
    pub execution_id: Option<EngineText>,
    /// Of this kind of block.
    pub block_type: Option<EngineText>,
    /// The oldest first, and not the newest.
    pub oldest_first: bool,
    /// So many are passed over.
    pub skip: usize,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// Errors that are equal but for their numbers, ids and values.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many there are.
    pub count: usize,
    /// When the first of them went wrong.
    pub first_seen: Timestamp,
    /// When the last of them went wrong.
    pub last_seen: Timestamp,
    /// The last one that was found.
    pub example: ErrorLog,
}

/// The bytes of an error in a function's answer: as JSON, which is itself a string there (of 6 MB at most, an AWS limit).
fn response_bytes(error: &ErrorLog) -> usize {
    let json = serde_json::to_vec(&error.document()).unwrap_or_default();
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// A page ends before its errors have so many bytes in all.
const MAX_PAGE_BYTES: usize = 4_000_000;
/// The most errors that may be passed over.
pub const MAX_SKIP: usize = 1000;
/// So many errors of one id are found.
const MAX_SAME_ID: usize = 100;
/// So many errors are looked at to make groups of them.
const MAX_GROUPED: usize = 5000;
/// So many groups are told of.
const MAX_GROUPS: usize = 100;

impl Errors {
    /// Which of these errors of a workflow are there. One read, at most 100 ids; none for no ids.
    pub async fn existing(
        &self,
        environment: EnvironmentId,
        workflow: WorkflowId,
        ids: &BTreeSet<ErrorId>,
    ) -> Result<HashSet<ErrorId>, StoreError> {
        let keys: Vec<_> = ids.iter().map(|id| keys::error(environment, workflow, *id)).collect();
        let found: Vec<ExistingError> = self.table.get_all(&keys).await?;
        Ok(found.into_iter().map(|error| error.error_id).collect())
    }

    /// Errors by their workflows and ids; what is not there, or past its time, is left out. One read for 100.
    pub async fn get_all(&self, environment: EnvironmentId, wanted: &[ErrorKey]) -> Result<Vec<ErrorLog>, StoreError> {
        let keys: Vec<_> = wanted.iter().map(|(workflow, id)| keys::error(environment, *workflow, *id)).collect();
        self.table.get_all_unexpired(&keys, Timestamp::now()).await
    }

    /// Errors of an environment that were recorded in a time range, the oldest first, of one of the partitions over which
    /// they are listed: up to `limit` after an error. One query.
    pub async fn list_shard(
        &self,
        environment: EnvironmentId,
        shard: u32,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
        (after, limit): (Option<&str>, usize),
    ) -> Result<Vec<ListedError>, StoreError> {
        let Some((low, high)) = keys::error_bounds(since, until) else {
            return Ok(Vec::new());
        };
        let range = Range { view: BY_ENVIRONMENT, low, high, newest_first: false };
        let range = match after {
            Some(after) => range.after(after),
            None => Some(range),
        };
        match range {
            Some(range) => {
                Ok(self.table.first(&[keys::errors_of_environment(environment, shard)], &range, limit).await?.0)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Errors of an environment as they are listed, by their id alone: one, or as many as there are workflows on which the
    /// engine has given the same id. One query.
    pub async fn find(&self, environment: EnvironmentId, id: ErrorId) -> Result<Vec<ListedError>, StoreError> {
        let range = Range { view: BY_ENVIRONMENT, low: id.to_string(), high: format!("{id}g"), newest_first: false };
        Ok(self.table.first(&[keys::errors_shard(environment, id)], &range, MAX_SAME_ID).await?.0)
    }

    /// Writes errors, 25 a request. Returns the indices of those that DynamoDB did not take.
    pub async fn record(&self, errors: &[ErrorLog]) -> Result<Vec<usize>, StoreError> {
        let items = errors.iter().map(|error| self.item(error)).collect::<Result<_, _>>()?;
        Ok(self.table.put_all(items).await)
    }

    fn item(&self, error: &ErrorLog) -> Result<Item, StoreError> {
        let ErrorLog { error_id, environment_id, workflow_id, user_id, updated_at, .. } = error;
        let key = keys::error(*environment_id, *workflow_id, *error_id);
        let listing = [
            ("environmentPk", keys::errors_shard(*environment_id, *error_id)),
            ("userPk", keys::errors_of_user(*environment_id, *user_id)),
            ("listSk", keys::listed_error(*workflow_id, *error_id)),
        ];
        let mut item = to_item("error", &key, error, &listing)?;
        item.insert("expiresAt".into(), self.retention.expires_at(*updated_at));
        Ok(item)
    }

    /// A page of errors, filled up to its limit wherever a bounded number of reads can, whatever the filters leave out. Of
    /// a workflow one strongly consistent query; of a user one, of an environment eight at once, and one read for the texts.
    /// More queries only where filters leave out most of what is read.
    pub async fn page(&self, environment: EnvironmentId, query: &ErrorQuery) -> Result<Page<ErrorLog>, StoreError> {
        let Some((low, high)) = keys::error_bounds(query.since, query.until) else {
            return Ok(Page::empty());
        };
        let (after, skip) = match &query.after {
            Some(position) => split_skip(position),
            None => (None, query.skip),
        };
        let (view, partitions) = index_and_partitions(environment, query.scope);
        let range = Range { view, low, high, newest_first: !query.oldest_first };
        let user = query.user_id.map(|user| user.to_string());
        let filter = Filter::default()
            .unexpired(Timestamp::now())
            .equals("userId", user.as_deref())
            .equals("executionId", query.execution_id.as_ref().map(EngineText::as_str))
            .equals("blockType", query.block_type.as_ref().map(EngineText::as_str));
        let page_request = (after, skip + query.limit);
        let (found, errors, next) = if let ErrorScope::Workflow(_) = query.scope {
            let Page { items, next } = self.table.page::<ErrorLog>(&partitions, &range, &filter, page_request).await?;
            let found = items.len();
            let errors = items.into_iter().skip(skip).map(|error| (error.error_id.to_string(), error));
            (found, errors.collect(), next)
        } else {
            let Page { items, next } = self.table.page(&partitions, &range, &filter, page_request).await?;
            let found = items.len();
            let listed: Vec<ListedError> = items.into_iter().skip(skip).collect();
            (found, self.load_errors(environment, listed).await?, next)
        };
        let next = next.map(|next| match skip.saturating_sub(found) {
            0 => next,
            remaining => format!("{next}{SKIP_SEPARATOR}{remaining}"),
        });
        Ok(truncate_to_response_size(errors, next))
    }

    /// What is listed with its texts, in the same order; what is not there any more is left out.
    async fn load_errors(
        &self,
        environment: EnvironmentId,
        listed: Vec<ListedError>,
    ) -> Result<Vec<(Position, ErrorLog)>, StoreError> {
        let wanted: Vec<_> = listed.iter().map(|error| (error.workflow_id, error.error_id)).collect();
        let errors = self.get_all(environment, &wanted).await?;
        let mut texts: HashMap<_, _> =
            errors.into_iter().map(|error| ((error.workflow_id, error.error_id), error)).collect();
        let listed = listed.iter();
        Ok(listed
            .filter_map(|listed| Some((listed.position(), texts.remove(&(listed.workflow_id, listed.error_id))?)))
            .collect())
    }

    /// The errors of a time range as groups, the largest first. Beside them, whether these are all: the newest 5,000 errors
    /// are looked at, and up to 100 groups are told of. Eight queries at once, and one read for the examples.
    pub async fn groups(
        &self,
        environment: EnvironmentId,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<(Vec<Group>, bool), StoreError> {
        let Some((low, high)) = keys::error_bounds(since, until) else {
            return Ok((Vec::new(), true));
        };
        let (view, partitions) = index_and_partitions(environment, ErrorScope::Environment);
        let range = Range { view, low, high, newest_first: true };
        let filter = Filter::default().unexpired(Timestamp::now());
        let page = self.table.page::<ListedError>(&partitions, &range, &filter, (None, MAX_GROUPED)).await?;
        let mut groups: HashMap<Fingerprint, Vec<ListedError>> = HashMap::new();
        for error in page.items {
            groups.entry(error.fingerprint.clone()).or_default().push(error);
        }
        let mut groups: Vec<Vec<ListedError>> = groups.into_values().collect();
        let when = |group: &[ListedError]| group.iter().map(|error| error.created_at).max();
        groups.sort_by_key(|group| std::cmp::Reverse((group.len(), when(group))));
        let mut complete = page.next.is_none() && groups.len() <= MAX_GROUPS;
        groups.truncate(MAX_GROUPS);

        let newest = groups.iter().filter_map(|group| group.first().cloned()).collect();
        let examples = truncate_to_response_size(self.load_errors(environment, newest).await?, None);
        complete &= examples.next.is_none();
        let mut examples: HashMap<Fingerprint, ErrorLog> =
            examples.items.into_iter().map(|error| (error.fingerprint.clone(), error)).collect();
        let grouped = groups.len();
        let groups = groups.into_iter().filter_map(|group| {
            let example = examples.remove(&group.first()?.fingerprint)?;
            let times = group.iter().map(|error| error.created_at);
            Some(Group { count: group.len(), first_seen: times.clone().min()?, last_seen: times.max()?, example })
        });
        let groups: Vec<Group> = groups.collect();
        // The example of one may have been erased meanwhile.
        complete &= groups.len() == grouped;
        Ok((groups, complete))
    }
}

/// Where errors are listed.
fn index_and_partitions(environment: EnvironmentId, scope: ErrorScope) -> (View, Vec<String>) {
    match scope {
        ErrorScope::Environment => {
            let shards = 0..keys::ERROR_SHARDS;
            (BY_ENVIRONMENT, shards.map(|shard| keys::errors_of_environment(environment, shard)).collect())
        }
        ErrorScope::User(user) => (BY_USER, vec![keys::errors_of_user(environment, user)]),
        ErrorScope::Workflow(workflow) => (TABLE, vec![keys::errors(environment, workflow)]),
    }
}

/// What stands in a position before the number of errors that are still to be passed over.
const SKIP_SEPARATOR: char = '~';

fn split_skip(position: &str) -> (Option<&str>, usize) {
    match position.split_once(SKIP_SEPARATOR) {
        Some((position, remaining)) => (Some(position), remaining.parse().unwrap_or(0).min(MAX_SKIP)),
        None => (Some(position), 0),
    }
}

/// So many of the errors that they fit a function's answer; one at least.
fn truncate_to_response_size(errors: Vec<(Position, ErrorLog)>, next: Option<Position>) -> Page<ErrorLog> {
    let mut page = Page { items: Vec::new(), next };
    let (mut bytes, mut last) = (0, None);
    for (position, error) in errors {
        bytes += response_bytes(&error);
        if bytes > MAX_PAGE_BYTES && last.is_some() {
            return Page { next: last, ..page };
        }
        last = Some(position);
        page.items.push(error);
    }
    page
}
