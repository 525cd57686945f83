//! `GET /errors/groups`. AWS calls: eight concurrent DynamoDB queries and one read; for a user one
//! query and one read; one read before them if `userId` is a username or email address, or if a
//! user calls with `userId`. More queries only if filters exclude most of the items read.

use std::time::Duration;

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenon::{
    domain::{
        error_log::{ErrorDocument, MAX_CLOCK_SKEW},
        fingerprint::Fingerprint,
        id::WorkflowId,
        names::UserRef,
        timestamp::Timestamp,
    },
    http::{BackendOrUser, Input, Json, Problem, Valid},
    start::FromAws,
    store::{
        ReadOnly,
        errors::{ErrorQuery, ErrorScope, Errors, Group, Groups, MAX_GROUPED, MAX_GROUPED_FOR_USERS},
        records::SHARDS,
        users::Users,
    },
};
use utoipa::{IntoParams, ToSchema};

use super::ErrorFilters;
use crate::api::{records::find_user, users};

/// Query parameters of the groups of errors.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct GroupErrors {
    /// User of the errors; the caller with a user token.
    user_id: Option<UserRef>,
    /// Workflow of the errors.
    workflow_id: Option<WorkflowId>,
}

/// Groups of similar errors, largest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorGroups<'a> {
    /// Groups, at most 100.
    groups: Vec<ErrorGroup<'a>>,
    /// Number of errors in each of 60 equal parts of the time range.
    histogram: Vec<Bar>,
    /// Whether the groups cover all errors of the time range; false if there are more than 100
    /// groups or more than 5,000 errors (1,000 with a user token), of which the newest are counted.
    complete: bool,
}

/// Part of a histogram.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistogramBar)]
pub struct Bar {
    /// Start of the part.
    start: Timestamp,
    /// Number of errors.
    count: usize,
}

/// Errors of one block type whose messages differ only in numbers, ids, URL queries and quoted
/// values.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorGroup<'a> {
    /// Fingerprint of the group, stable over time.
    fingerprint: &'a Fingerprint,
    /// Number of errors.
    count: usize,
    /// Time of the oldest error.
    first_seen: Timestamp,
    /// Time of the newest error.
    last_seen: Timestamp,
    /// Block type of the errors.
    block_type: &'a str,
    /// Newest error of the group.
    example: ErrorDocument<'a>,
    /// Workflows of the errors, at most 20.
    workflow_ids: Vec<WorkflowId>,
    /// Number of workflows.
    workflows: usize,
    /// Number of users.
    users: usize,
}

/// Maximum number of workflows that a group names.
const MAX_WORKFLOW_IDS: usize = 20;

impl<'a> From<&'a Group> for ErrorGroup<'a> {
    fn from(group: &'a Group) -> Self {
        let Group { count, first_seen, last_seen, example, workflows, users } = group;
        Self {
            fingerprint: &example.fingerprint,
            count: *count,
            first_seen: *first_seen,
            last_seen: *last_seen,
            block_type: example.block_type.as_str(),
            example: example.document(),
            workflow_ids: workflows.iter().take(MAX_WORKFLOW_IDS).copied().collect(),
            workflows: workflows.len(),
            users: users.len(),
        }
    }
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = SHARDS)]
pub struct State {
    users: Users<ReadOnly>,
    errors: Errors<ReadOnly>,
}

/// Length of the time range by default.
const DEFAULT_RANGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Groups the similar errors of a time range, by default of the last 24 hours.
#[utoipa::path(get, path = "/errors/groups", tag = "errors", security(("apiKey" = ["manage"]), ("userToken" = [])),
    params(GroupErrors, ErrorFilters),
    responses((status = 200, body = ErrorGroups), (status = 404, description = "user not found")))]
pub async fn group_errors(
    caller: BackendOrUser,
    extract::State(State { users, errors }): extract::State<State>,
    Valid((GroupErrors { user_id, workflow_id }, filters)): Valid<(GroupErrors, ErrorFilters)>,
) -> Result<Response, Problem> {
    let BackendOrUser { environment, user: caller, .. } = caller;
    let now = Timestamp::now();
    let until = filters.until.unwrap_or(now);
    let since = filters.since.unwrap_or(until - DEFAULT_RANGE);
    let user = match (&caller, &user_id) {
        (Some(_), Some(user)) => Some(users::find(&users, environment, caller.as_ref(), user).await?.user_id),
        (Some(caller), None) => Some(caller.user_id),
        (None, user) => find_user(&users, environment, user.as_ref()).await?,
    };
    // A workflow is a filter: the indexes have no texts, of which a group needs one only.
    let scope = user.map_or(ErrorScope::Environment, ErrorScope::User);
    // Errors may be ahead of the clock.
    let newest = filters.until.unwrap_or(now + MAX_CLOCK_SKEW);
    let limit = if caller.is_some() { MAX_GROUPED_FOR_USERS } else { MAX_GROUPED };
    let allowed = caller.map(|caller| caller.allowed).unwrap_or_default();
    let query = ErrorQuery { allowed, since: Some(since), until: Some(newest), workflow_id, ..filters.query(scope) };
    let Groups { groups, times, complete } = errors.groups(environment, &query, limit).await?;
    let (groups, histogram) = (groups.iter().map(ErrorGroup::from).collect(), histogram(since, until, &times));
    Ok(Json(ErrorGroups { groups, histogram, complete }).into_response())
}

/// Number of parts of a histogram.
const BARS: i64 = 60;

/// Counts times in equal parts of a range. Times outside of it, by rounding or because they are
/// ahead of the clock, count in the first or last part.
fn histogram(since: Timestamp, until: Timestamp, times: &[Timestamp]) -> Vec<Bar> {
    // A part has at least a millisecond.
    let length = until.milliseconds().saturating_sub(since.milliseconds()).max(BARS);
    let bar = |number: i64| {
        // The first millisecond of the part.
        let from_start = u64::try_from(number * length).unwrap_or_default().div_ceil(BARS.unsigned_abs());
        Bar { start: since + Duration::from_millis(from_start), count: 0 }
    };
    let mut bars: Vec<Bar> = (0..BARS).map(bar).collect();
    for time in times {
        let number = ((time.milliseconds() - since.milliseconds()) * BARS / length).clamp(0, BARS - 1);
        if let Some(bar) = usize::try_from(number).ok().and_then(|number| bars.get_mut(number)) {
            bar.count += 1;
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn histogram_has_60_equal_parts() {
        let at = Timestamp::from_seconds;
        let bars = histogram(at(0), at(60), &[at(0), at(1), at(1), at(59), at(60), at(100)]);
        assert_eq!(bars.len(), 60);
        let counts: Vec<usize> = bars.iter().map(|bar| bar.count).collect();
        assert_eq!((counts[0], counts[1], counts[58], counts[59]), (1, 2, 0, 3));
        assert_eq!((bars[1].start, bars[59].start), (at(1), at(59)));
    }

    proptest! {
        #[test]
        fn times_are_counted_in_parts_of_equal_length(since in any::<u32>(), length in 60u32..=100_000, at in 0u32..100_000) {
            let (since, at) = (Timestamp::from_seconds(since), at % length);
            let bars = histogram(since, since + Duration::from_millis(length.into()), &[since + Duration::from_millis(at.into())]);
            let starts: Vec<i64> = bars.iter().map(|bar| bar.start.milliseconds() - since.milliseconds()).collect();
            let counted = bars.iter().position(|bar| bar.count == 1).unwrap();
            prop_assert_eq!(counted, starts.partition_point(|start| *start <= at.into()) - 1);
            let ends = starts[1..].iter().copied().chain([length.into()]);
            let lengths: Vec<i64> = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
            prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
        }

        #[test]
        fn every_time_is_counted_once(since in any::<u32>(), length in 1u32..=u32::MAX, times in prop::collection::vec(any::<u32>(), 0..50)) {
            let since = Timestamp::from_seconds(since);
            let until = since + Duration::from_millis(u64::from(length));
            let times: Vec<Timestamp> = times.into_iter().map(Timestamp::from_seconds).collect();
            let bars = histogram(since, until, &times);
            prop_assert_eq!(bars.iter().map(|bar| bar.count).sum::<usize>(), times.len());
        }
    }
}
