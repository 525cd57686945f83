//! Replays: their progress, cancellation and list of running ones.

use std::time::Duration;

use serde::Deserialize;

use super::{
    keys,
    table::{
        Access, Condition, Filter, LISTING, Page, PageRequest, Put, Range, ReadWrite, StoreError, TABLE, Table, Update,
        number, text, to_item, to_value,
    },
};
use crate::domain::{
    delivery::{MAX_PENDING_AGE, Route},
    id::{EnvironmentId, ObjectId, ReplayId},
    replay::{Replay, ReplayPosition, ReplayStatus},
    timestamp::Timestamp,
};

/// Replays of all environments.
#[derive(Clone, Debug)]
pub struct Replays<A: Access = ReadWrite>(pub Table<A>);

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
    /// Position of its next step.
    #[serde(default)]
    pub position: Option<ReplayPosition>,
}

impl Replays {
    /// Creates a replay. A replay with the same id is left unchanged: it stems from an earlier
    /// attempt of the same request. One write.
    pub async fn create(&self, environment: EnvironmentId, replay: &Replay) -> Result<(), StoreError> {
        let listing = keys::running_replay(environment, replay.replay_id).listing();
        let mut item = to_item("replay", &keys::replay(environment, replay.replay_id), replay, &listing)?;
        item.insert("environmentId".into(), text(environment));
        item.insert("expiresAt".into(), number((replay.created_at + RETENTION).seconds()));
        self.0.put(Put::if_absent(item)).await.map(|_| ())
    }

    /// Records the progress of a replay, if it is running and no other run has executed the step.
    /// Returns whether it was recorded by this call. One write.
    pub async fn advance(
        &self,
        environment: EnvironmentId,
        replay: &Replay,
        position: Option<&ReplayPosition>,
    ) -> Result<bool, StoreError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Advanced {
            advanced_by: Option<String>,
        }
        // Tells a condition that failed because this same write succeeded before, and its response
        // was lost, from another run's.
        let run = ObjectId::at(Timestamp::now()).to_string();
        let status = if position.is_some() { ReplayStatus::Running } else { ReplayStatus::Done };
        let unchanged = Condition::equals("position", to_value(replay.position.as_ref())?);
        let mut update = Update::of(&keys::replay(environment, replay.replay_id))
            .set("status", to_value(status)?)
            .set("position", to_value(position)?)
            .set("updatedAt", text(Timestamp::now()))
            .set("advancedBy", text(&run))
            .when(Condition::equals("status", to_value(ReplayStatus::Running)?).and(unchanged));
        if position.is_none() {
            update = unlist(update);
        }
        let stored: Option<Advanced> = self.0.update_or_get(update).await?;
        Ok(stored.is_some_and(|stored| stored.advanced_by == Some(run)))
    }

    /// Cancels a replay, unless every record was delivered or has failed. Returns the replay, or
    /// none if it does not exist. One write.
    pub async fn cancel(&self, environment: EnvironmentId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let searching = Condition::compare("status", "<>", to_value(ReplayStatus::Done)?);
        let now = Timestamp::now();
        let pending = Condition::compare("pending", ">", number(0));
        let unfinished = searching.or(pending.and(Condition::compare("updatedAt", ">", text(now - MAX_PENDING_AGE))));
        let update = Update::of(&keys::replay(environment, id))
            .set("status", to_value(ReplayStatus::Cancelled)?)
            .set("updatedAt", text(now))
            .when(Condition::item_exists().and(unfinished));
        self.0.update_or_get(unlist(update)).await
    }
}

impl<A: Access> Replays<A> {
    /// Returns up to `limit` running replays of all environments. Eventually consistent. One query
    /// per megabyte for each of four partitions.
    pub async fn running(&self, limit: usize) -> Result<Vec<RunningReplay>, StoreError> {
        let partitions = keys::running_replays().partitions();
        Ok(self.0.page(&partitions, &Range::all(LISTING), &Filter::default(), PageRequest::first(limit)).await?.items)
    }

    /// Returns the replay with this id. One read.
    pub async fn get(&self, environment: EnvironmentId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.0.get(&keys::replay(environment, id)).await
    }

    /// Returns a page of the replays to a destination, newest first. Strongly consistent. Reads the
    /// replays of the environment in queries of 250 items or one megabyte, at most eight per page.
    pub async fn list(
        &self,
        Route { environment, destination }: Route,
        request: PageRequest<'_>,
    ) -> Result<Page<Replay>, StoreError> {
        let of_destination =
            Filter::default().unexpired(Timestamp::now()).equals("destinationId", Some(&destination.to_string()));
        let newest_first = Range { newest_first: true, ..Range::all(TABLE) };
        self.0.page(&[keys::replays(environment)], &newest_first, &of_destination, request).await
    }
}

/// Removes a replay from the index of running ones.
fn unlist(update: Update) -> Update {
    update.remove("listPk").remove("listSk")
}
