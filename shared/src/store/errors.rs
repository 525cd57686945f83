//! Error logs.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::{
    keys,
    listing::{BY_ENVIRONMENT, Page, Position, Range},
    table::{Item, StoreError, Table, from_item, to_item},
};
use crate::{
    aws::{SettingError, setting},
    domain::{
        error_log::{EngineText, ErrorLog},
        id::{EnvironmentId, ErrorId, UserId, WorkflowId},
        timestamp::Timestamp,
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Existing {
    error_id: ErrorId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    expires_at: i64,
    #[serde(flatten)]
    error: ErrorLog,
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
}

/// The number of partitions over which the errors of an environment are listed.
pub const LISTED_OVER: u32 = keys::ERROR_SHARDS;

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
    pub(super) fn expires(self, from: Timestamp) -> AttributeValue {
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

/// Which errors of a workflow are asked for.
#[derive(Clone, Debug, Default)]
pub struct ErrorQuery {
    /// From the second in which this lies.
    pub since: Option<Timestamp>,
    /// To the last second that begins before this.
    pub until: Option<Timestamp>,
    /// Of this execution.
    pub execution_id: Option<EngineText>,
    /// Of this kind of block.
    pub block_type: Option<EngineText>,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// The bytes of an error in a function's answer: as JSON, which is itself a string there (of 6 MB at most, an AWS limit).
fn weight(error: &ErrorLog) -> usize {
    let json = serde_json::to_vec(&error.document()).unwrap_or_default();
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// A page ends before its errors have so many bytes in all.
const MAX_PAGE_BYTES: usize = 4_000_000;
/// No sort key in a partition of errors is longer: an id and what lies beside it.
const LONGEST_POSITION: usize = 64;
/// A page costs at most so many queries (of 1 MB each), whatever its filters leave out.
const MAX_QUERIES: usize = 8;

impl Errors {
    /// Which of these errors of a workflow are there. One read, at most 100 ids; none for no ids.
    pub async fn existing(
        &self,
        environment: EnvironmentId,
        workflow: WorkflowId,
        ids: &BTreeSet<ErrorId>,
    ) -> Result<HashSet<ErrorId>, StoreError> {
        let keys: Vec<_> = ids.iter().map(|id| keys::error(environment, workflow, *id)).collect();
        let found: Vec<Existing> = self.table.get_all(&keys).await?;
        Ok(found.into_iter().map(|error| error.error_id).collect())
    }

    /// Errors by their workflows and ids; what is not there, or past its time, is left out. One read for 100.
    pub async fn get_all(
        &self,
        environment: EnvironmentId,
        wanted: &[(WorkflowId, ErrorId)],
    ) -> Result<Vec<ErrorLog>, StoreError> {
        let keys: Vec<_> = wanted.iter().map(|(workflow, id)| keys::error(environment, *workflow, *id)).collect();
        let now = Timestamp::now().seconds();
        let found: Vec<Kept> = self.table.get_all(&keys).await?;
        Ok(found.into_iter().filter(|kept| now < kept.expires_at).map(|kept| kept.error).collect())
    }

    /// Errors of an environment that were recorded in a time range, the oldest first, of one of the partitions over which
    /// they are listed: up to `limit` after an error. One query.
    pub async fn listed(
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

    /// An error of an environment as it is listed, by its id alone. One query.
    pub async fn find(&self, environment: EnvironmentId, id: ErrorId) -> Result<Option<ListedError>, StoreError> {
        let key = id.to_string();
        let range = Range { view: BY_ENVIRONMENT, low: key.clone(), high: key, newest_first: false };
        let (found, _) = self.table.first(&[keys::errors_shard(environment, id)], &range, 1).await?;
        Ok(found.into_iter().next())
    }

    /// Writes errors, 25 a request. Returns the indices of those that DynamoDB did not take.
    pub async fn record(&self, errors: &[ErrorLog]) -> Result<Vec<usize>, StoreError> {
        let items = errors.iter().map(|error| self.item(error)).collect::<Result<_, _>>()?;
        self.table.put_all(items).await
    }

    fn item(&self, error: &ErrorLog) -> Result<Item, StoreError> {
        let ErrorLog { error_id, environment_id, workflow_id, user_id, updated_at, .. } = error;
        let key = keys::error(*environment_id, *workflow_id, *error_id);
        let listing = [
            ("environmentPk", keys::errors_shard(*environment_id, *error_id)),
            ("userPk", keys::errors_of_user(*environment_id, *user_id)),
        ];
        let mut item = to_item("error", &key, error, &listing)?;
        item.insert("expiresAt".into(), self.retention.expires(*updated_at));
        Ok(item)
    }

    /// A page of a workflow's errors, the newest first: filled up to its limit wherever a bounded number of reads can.
    /// One query, and more only where filters leave out most of what is read.
    pub async fn list(
        &self,
        environment: EnvironmentId,
        workflow: WorkflowId,
        query: &ErrorQuery,
    ) -> Result<Page<ErrorLog>, StoreError> {
        let Some((low, high)) = keys::error_bounds(query.since, query.until) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        // A position that no page of this list can have had leads nowhere.
        if query.after.as_ref().is_some_and(|after| !(&low..=&high).contains(&after) || after.len() > LONGEST_POSITION)
        {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let mut filter = vec!["#type = :error", "expiresAt > :now"];
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut values = HashMap::from([
            (":pk".to_owned(), AttributeValue::S(keys::errors(environment, workflow))),
            (":low".to_owned(), AttributeValue::S(low)),
            (":high".to_owned(), AttributeValue::S(high)),
            (":error".to_owned(), text("error")),
            (":now".to_owned(), AttributeValue::N(Timestamp::now().seconds().to_string())),
        ]);
        if let Some(execution) = &query.execution_id {
            filter.push("executionId = :execution");
            values.insert(":execution".into(), text(execution.as_str()));
        }
        if let Some(block_type) = &query.block_type {
            filter.push("blockType = :block");
            values.insert(":block".into(), text(block_type.as_str()));
        }
        let Table { client, name } = &self.table;
        let request = client
            .query()
            .table_name(name)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk AND sk BETWEEN :low AND :high")
            .filter_expression(filter.join(" AND "))
            .expression_attribute_names("#type", "type")
            .set_expression_attribute_values(Some(values));
        // Without a filter that leaves things out, no more is read than is shown.
        let narrow = query.execution_id.is_some() || query.block_type.is_some();
        let read_at_once = (!narrow).then(|| i32::try_from(query.limit).unwrap_or(i32::MAX));

        let mut page: Page<ErrorLog> = Page { items: Vec::new(), next: query.after.clone() };
        let mut bytes = 0;
        for _ in 0..MAX_QUERIES {
            let start = page.next.take().map(|sk| keys::error_position(environment, workflow, sk).attributes());
            let answer = request.clone().set_limit(read_at_once).set_exclusive_start_key(start).send().await?;
            for item in answer.items.unwrap_or_default() {
                let error: ErrorLog = from_item(item)?;
                bytes += weight(&error);
                if page.items.len() == query.limit || (bytes > MAX_PAGE_BYTES && !page.items.is_empty()) {
                    page.next = page.items.last().map(|last| last.error_id.to_string());
                    return Ok(page);
                }
                page.items.push(error);
            }
            page.next = answer.last_evaluated_key.and_then(|key| key.get("sk")?.as_s().ok().cloned());
            if page.next.is_none() || page.items.len() == query.limit {
                return Ok(page);
            }
        }
        Ok(page)
    }
}
