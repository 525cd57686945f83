//! Replays: their progress, cancellation and list of running ones.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use serde::Deserialize;

use super::{
    keys,
    listing::{Filter, LISTING, Range},
    table::{MAX_ATTEMPTS, StoreError, Table, back_off, from_item, none_if_condition_failed, to_item},
};
use crate::domain::{
    id::{EnvironmentId, ReplayId},
    replay::{Position, Replay, ReplayStatus},
    timestamp::Timestamp,
};

/// Replays of all environments.
#[derive(Clone, Debug)]
pub struct Replays(pub Table);

/// Time for which a replay is kept.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Index entry of a running replay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningReplay {
    /// Environment of the replay.
    pub environment_id: EnvironmentId,
    /// Id of the replay.
    pub replay_id: ReplayId,
    /// Time of its last step, or of its creation.
    pub updated_at: Timestamp,
}

impl Replays {
    /// Creates a replay. A replay with the same id is left unchanged: it stems from an earlier
    /// attempt of the same request. One write.
    pub async fn create(&self, environment: EnvironmentId, replay: &Replay) -> Result<(), StoreError> {
        let listed = keys::running_replay(environment, replay.replay_id);
        let attributes = [("environmentId", environment.to_string()), ("listPk", listed.pk), ("listSk", listed.sk)];
        let mut item = to_item("replay", &keys::replay(environment, replay.replay_id), replay, &attributes)?;
        let expires = (replay.created_at + RETENTION).seconds().to_string();
        item.insert("expiresAt".into(), AttributeValue::N(expires));
        self.0.create(item).await
    }

    /// Returns up to `limit` running replays of all environments. Eventually consistent. One query
    /// per megabyte for each of four partitions.
    pub async fn running(&self, limit: usize) -> Result<Vec<RunningReplay>, StoreError> {
        let partitions: Vec<String> = (0..keys::REPLAY_SHARDS).map(keys::running_replays).collect();
        Ok(self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), (None, limit)).await?.items)
    }

    /// Returns the replay with this id. One read.
    pub async fn get(&self, environment: EnvironmentId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.0.get(&keys::replay(environment, id)).await
    }

    /// Records the progress of a replay, if it is running and no other run has executed the step.
    /// Returns whether it was recorded. One write, which is retried after conflicts.
    pub async fn advance(
        &self,
        environment: EnvironmentId,
        replay: &Replay,
        found: u64,
        position: Option<&Position>,
    ) -> Result<bool, StoreError> {
        let status = if position.is_some() { ReplayStatus::Running } else { ReplayStatus::Done };
        let stored = |value: &Option<&Position>| serde_dynamo::to_attribute_value(value).map_err(StoreError::Malformed);
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::replay(environment, replay.replay_id).attributes()))
            .update_expression(format!(
                "SET #status = :status, #position = :next, updatedAt = :now ADD #found :found{}",
                if position.is_some() { "" } else { UNLIST }
            ))
            .condition_expression("#status = :running AND #position = :before")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#position", "position")
            .expression_attribute_names("#found", "found")
            .expression_attribute_values(":status", status_value(status)?)
            .expression_attribute_values(":running", status_value(ReplayStatus::Running)?)
            .expression_attribute_values(":before", stored(&replay.position.as_ref())?)
            .expression_attribute_values(":next", stored(&position)?)
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()))
            .expression_attribute_values(":found", AttributeValue::N(found.to_string()));
        for attempt in 0.. {
            back_off(attempt).await;
            match none_if_condition_failed(request.clone().send().await) {
                Ok(advanced) => return Ok(advanced.is_some()),
                // A drain may update the same item in a transaction.
                Err(error) if attempt + 1 == MAX_ATTEMPTS || !error.is_transient() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Cancels a replay, even if it has already selected all of its errors. Returns the replay, or
    /// none if it does not exist. One write.
    pub async fn cancel(&self, environment: EnvironmentId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::replay(environment, id).attributes()))
            .update_expression(format!("SET #status = :cancelled, updatedAt = :now{UNLIST}"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":cancelled", status_value(ReplayStatus::Cancelled)?)
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()))
            .return_values(ReturnValue::AllNew);
        let cancelled = none_if_condition_failed(request.send().await)?;
        cancelled.and_then(|output| output.attributes).map(from_item).transpose()
    }
}

/// Clause of an update that removes a replay from the index of running ones.
const UNLIST: &str = " REMOVE listPk, listSk";

fn status_value(status: ReplayStatus) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(status).map_err(StoreError::Malformed)
}
