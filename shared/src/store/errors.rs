//! Recorded errors: their items, pages and groups.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use super::{
    keys,
    record_pages::{self, Listed, StoredRecord, Window},
    retention::Retention,
    table::{
        Access, BY_ENVIRONMENT, BY_USER, Filter, Item, Page, PageRequest, Position, Range, ReadWrite, StoreError,
        TABLE, Table, View, to_item,
    },
};
use crate::domain::{
    access::Allowed,
    error_log::{EngineText, ErrorLog},
    fingerprint::Fingerprint,
    id::{EnvironmentId, ErrorId, UserId, WorkflowId},
    timestamp::Timestamp,
    workflow::EngineIntegrationId,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExistingError {
    error_id: ErrorId,
}

/// Entry of an error in an index, with the attributes used to group errors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groupable {
    workflow_id: WorkflowId,
    user_id: UserId,
    created_at: Timestamp,
    fingerprint: Fingerprint,
    #[serde(flatten)]
    listed: Listed,
}

/// Errors of all environments.
#[derive(Clone, Debug)]
pub struct Errors<A: Access = ReadWrite> {
    /// Errors table.
    pub table: Table<A>,
    /// Retention of errors.
    pub retention: Retention,
}

/// Set of errors that a query covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorScope {
    /// All errors of the environment.
    #[default]
    Environment,
    /// Errors of a user.
    User(UserId),
    /// Errors of a workflow.
    Workflow(WorkflowId),
}

/// Filters, order and position of an error query.
#[derive(Clone, Debug, Default)]
pub struct ErrorQuery {
    /// Set of errors.
    pub scope: ErrorScope,
    /// Start of the time range, inclusive, rounded down to the second.
    pub since: Option<Timestamp>,
    /// End of the time range, exclusive, rounded up to the second.
    pub until: Option<Timestamp>,
    /// User filter.
    pub user_id: Option<UserId>,
    /// Workflow filter.
    pub workflow_id: Option<WorkflowId>,
    /// Execution filter.
    pub execution_id: Option<EngineText>,
    /// Block type filter.
    pub block_type: Option<EngineText>,
    /// Fingerprint filter.
    pub fingerprint: Option<Fingerprint>,
    /// Integration filter.
    pub integration_id: Option<EngineIntegrationId>,
    /// Integrations of the errors, if they are limited.
    pub allowed: Allowed,
    /// Part of the list.
    pub window: Window,
}

impl ErrorQuery {
    /// Returns the filter of the items.
    fn filter(&self) -> Filter {
        let (user, workflow) = (self.user_id.map(|id| id.to_string()), self.workflow_id.map(|id| id.to_string()));
        Filter::default()
            .unexpired(Timestamp::now())
            .equals("userId", user.as_deref())
            .equals("workflowId", workflow.as_deref())
            .equals("executionId", self.execution_id.as_ref().map(EngineText::as_str))
            .equals("blockType", self.block_type.as_ref().map(EngineText::as_str))
            .equals("fingerprint", self.fingerprint.as_ref().map(Fingerprint::as_str))
            .equals("integrationId", self.integration_id.as_ref().map(EngineIntegrationId::as_str))
            .one_of("integrationId", self.allowed.list().map(|list| list.iter().map(|id| id.as_str())))
    }
}

/// Groups of the newest errors of a query.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Groups, the largest first.
    pub groups: Vec<Group>,
    /// Times of all errors that were examined.
    pub times: Vec<Timestamp>,
    /// Whether these are all errors and all of their groups.
    pub complete: bool,
}

/// Errors that are equal except for numbers, ids and values.
#[derive(Clone, Debug)]
pub struct Group {
    /// Number of errors.
    pub count: usize,
    /// Time of the earliest error.
    pub first_seen: Timestamp,
    /// Time of the latest error.
    pub last_seen: Timestamp,
    /// Newest error of the group.
    pub example: ErrorLog,
    /// Workflows of the errors.
    pub workflows: BTreeSet<WorkflowId>,
    /// Users of the errors.
    pub users: BTreeSet<UserId>,
}

impl Group {
    /// Returns the group of similar errors; none if there are no errors.
    fn new(errors: &[Groupable], example: ErrorLog) -> Option<Self> {
        let times = errors.iter().map(|error| error.created_at);
        Some(Self {
            count: errors.len(),
            first_seen: times.clone().min()?,
            last_seen: times.max()?,
            example,
            workflows: errors.iter().map(|error| error.workflow_id).collect(),
            users: errors.iter().map(|error| error.user_id).collect(),
        })
    }
}

/// Maximum number of errors that are grouped.
pub const MAX_GROUPED: usize = 5000;
/// Maximum number of errors that are grouped for a caller with a user token.
pub const MAX_GROUPED_FOR_USERS: usize = 1000;
/// Maximum number of groups that are returned.
const MAX_GROUPS: usize = 100;
/// Number of errors of a group that are read until one is an example.
const MAX_TRIED_EXAMPLES: usize = 3;

impl Errors {
    /// Writes errors. Returns the indices of those that were not written. One `BatchWriteItem` per
    /// 25 errors.
    pub async fn record(&self, errors: &[ErrorLog]) -> Vec<usize> {
        self.table.put_all(errors, |error| self.item(error)).await
    }

    fn item(&self, error: &ErrorLog) -> Result<Item, StoreError> {
        let ErrorLog { error_id, environment_id, workflow_id, user_id, updated_at, .. } = error;
        let key = keys::error(*environment_id, *workflow_id, *error_id);
        let listing = [
            ("environmentPk", keys::errors_of_environment(*environment_id).partition_of(error_id.object_id())),
            ("userPk", keys::errors_of_user(*environment_id, *user_id)),
            ("listSk", keys::listed_record(error.key())),
        ];
        let mut item = to_item("error", &key, error, &listing)?;
        item.insert("expiresAt".into(), self.retention.expires_at(*updated_at));
        Ok(item)
    }
}

impl<A: Access> Errors<A> {
    /// Returns the ids that exist among the given errors of a workflow, expired ones included. One
    /// `BatchGetItem` per 100 ids; none without ids.
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

    /// Returns a page of errors. The page is full unless a bounded number of queries does not find
    /// enough errors that match the filters.
    ///
    /// Queries: one strongly consistent query for a workflow; for a user one and for an environment
    /// eight concurrent queries of an index, and one `BatchGetItem` per 100 errors. More queries
    /// only if filters exclude most of the items.
    pub async fn page(&self, environment: EnvironmentId, query: &ErrorQuery) -> Result<Page<ErrorLog>, StoreError> {
        let Some((low, high)) = keys::record_bounds(query.since, query.until) else {
            return Ok(Page::empty());
        };
        let (view, partitions) = index_and_partitions(environment, query.scope);
        let range = Range { view, low, high, newest_first: !query.window.oldest_first };
        record_pages::page(&self.table, environment, &partitions, (&range, &query.filter()), &query.window).await
    }

    /// Returns the newest errors that match a query as groups. Examines up to `limit` errors, and
    /// returns at most 100 groups. At least eight concurrent queries, for a user one, and one
    /// `BatchGetItem` for the examples, or up to three if some cannot be read.
    pub async fn groups(
        &self,
        environment: EnvironmentId,
        query: &ErrorQuery,
        limit: usize,
    ) -> Result<Groups, StoreError> {
        let none = Groups { groups: Vec::new(), times: Vec::new(), complete: true };
        let Some((low, high)) = keys::record_bounds(query.since, query.until) else { return Ok(none) };
        let filter = query.filter();
        let (view, partitions) = index_and_partitions(environment, query.scope);
        let range = Range { view, low, high, newest_first: true };
        let page = self.table.page::<Groupable>(&partitions, &range, &filter, PageRequest::first(limit)).await?;
        let times = page.items.iter().map(|error| error.created_at).collect();
        let mut similar = by_fingerprint(page.items);
        let has_all_groups = page.next.is_none() && similar.len() <= MAX_GROUPS;
        similar.truncate(MAX_GROUPS);

        let examples = self.examples(environment, &similar).await?;
        // Some may not fit.
        let examples = Page { items: examples, next: None }.fit(StoredRecord::bytes).items;
        let mut examples: HashMap<Fingerprint, ErrorLog> =
            examples.into_iter().map(|error| (error.fingerprint.clone(), error)).collect();
        let complete = has_all_groups && examples.len() == similar.len();
        let groups = similar.iter().filter_map(|errors| {
            let example = examples.remove(&errors.first()?.fingerprint)?;
            Group::new(errors, example)
        });
        Ok(Groups { groups: groups.collect(), times, complete })
    }

    /// Returns the newest error of each group. Of a group whose newest error cannot be read or was
    /// erased in the meantime, one of the next ones.
    async fn examples(
        &self,
        environment: EnvironmentId,
        groups: &[Vec<Groupable>],
    ) -> Result<Vec<(Position, ErrorLog)>, StoreError> {
        let mut found: Vec<(Position, ErrorLog)> = Vec::new();
        let mut missing: Vec<&Vec<Groupable>> = groups.iter().collect();
        for nth in 0..MAX_TRIED_EXAMPLES {
            let wanted: Vec<_> =
                missing.iter().filter_map(|errors| errors.get(nth)).map(|error| error.listed.clone()).collect();
            if wanted.is_empty() {
                break;
            }
            found.extend(record_pages::load(&self.table, environment, wanted.into_iter()).await?);
            let known: HashSet<&Fingerprint> = found.iter().map(|(_, error)| &error.fingerprint).collect();
            missing.retain(|errors| errors.first().is_some_and(|error| !known.contains(&error.fingerprint)));
        }
        Ok(found)
    }
}

/// Groups errors, the newest first, by their fingerprints. The largest group is the first.
fn by_fingerprint(errors: Vec<Groupable>) -> Vec<Vec<Groupable>> {
    let mut groups: HashMap<Fingerprint, Vec<Groupable>> = HashMap::new();
    for error in errors {
        groups.entry(error.fingerprint.clone()).or_default().push(error);
    }
    let mut groups: Vec<Vec<Groupable>> = groups.into_values().collect();
    let newest = |group: &[Groupable]| group.iter().map(|error| error.created_at).max();
    groups.sort_by_key(|group| std::cmp::Reverse((group.len(), newest(group))));
    groups
}

/// Returns the index and the partitions that list the errors of a scope.
fn index_and_partitions(environment: EnvironmentId, scope: ErrorScope) -> (View, Vec<String>) {
    match scope {
        ErrorScope::Environment => (BY_ENVIRONMENT, keys::errors_of_environment(environment).partitions()),
        ErrorScope::User(user) => (BY_USER, vec![keys::errors_of_user(environment, user)]),
        ErrorScope::Workflow(workflow) => (TABLE, vec![keys::errors(environment, workflow)]),
    }
}
