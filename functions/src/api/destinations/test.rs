//! `POST /destinations/{destinationId}/test`. AWS calls: one DynamoDB read, one call to the
//! customer's bus, and one KMS call for the first use of the keys or the secret; for a webhook that
//! accepts the event one DynamoDB write.

use axum::extract;
use serde::Serialize;
use tenon::{
    delivery::senders::Senders,
    domain::{
        delivery::{Attempt, Outcome, Route},
        destination::Target,
        id::DestinationId,
    },
    http::{Backend, Json, NoInput, Path, Problem},
    start::FromAws,
    store::{StoreError, destinations::Destinations},
};
use utoipa::ToSchema;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations,
    senders: Senders,
}

/// Result of a test event.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestResult {
    /// Whether the destination accepted the event.
    delivered: bool,
    /// Attempt, with the response of the destination.
    attempt: Attempt,
}

/// Sends a test event immediately, even to a disabled destination, and returns the response of the
/// destination.
#[utoipa::path(post, path = "/destinations/{destinationId}/test", tag = "destinations",
    security(("apiKey" = ["manage"])), responses((status = 200, body = TestResult)))]
pub async fn test_destination(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<Json<TestResult>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let found = state.destinations.get(route.environment, id).await?;
    let destination = found.ok_or_else(|| Problem::not_found("destination"))?;
    match state.senders.send_test(route, &destination).await {
        Outcome::Delivered(attempt) => {
            // A bus was checked when it was saved. Its success here proves nothing, since AWS also
            // accepts events for a bus that does not exist.
            if matches!(destination.target, Target::Webhook(_)) {
                let reason = format!("a test event was accepted at {}", attempt.at);
                state.destinations.mark_verified(route, destination.version, &reason).await?;
            }
            Ok(Json(TestResult { delivered: true, attempt }))
        }
        Outcome::Failed(attempt, _) => Ok(Json(TestResult { delivered: false, attempt })),
        Outcome::Skipped => Err(StoreError::Busy("the keys cannot be decrypted at the moment".into()).into()),
    }
}
