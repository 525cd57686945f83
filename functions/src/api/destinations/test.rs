//! `POST /destinations/{destinationId}/test`. AWS calls: one DynamoDB read, one call to the
//! customer's bus, and one KMS call for the first use of the keys or the secret; for a role four
//! calls to STS and two to the bus; for a role, and for a webhook that accepts the event, one
//! DynamoDB write.

use axum::extract;
use serde::Serialize;
use tenon::{
    delivery::{connections::Connections, eventbridge::check::Checked, senders::Senders},
    domain::{
        delivery::{Attempt, Outcome, Route},
        destination::{Destination, Target, Verification},
        event_bus::{BusAccess, EventBridge},
        id::DestinationId,
        role::RoleArn,
        timestamp::Timestamp,
    },
    http::{Backend, Json, NoInput, OrNotFound, Path, Problem},
    start::FromAws,
    store::destinations::Destinations,
    vault::VaultError,
};
use utoipa::ToSchema;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations,
    senders: Senders,
    connections: Connections,
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
/// destination. The role of a bus is verified: that Tenon can assume it with the external id, and
/// not without.
#[utoipa::path(post, path = "/destinations/{destinationId}/test", tag = "destinations",
    security(("apiKey" = ["manage"])), responses((status = 200, body = TestResult)))]
pub async fn test_destination(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<Json<TestResult>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let destination = state.destinations.get(route.environment, id).await?.or_not_found("destination")?;
    if let Target::EventBridge(bus) = &destination.target
        && let BusAccess::Role { role_arn } = &bus.access
    {
        return test_role(&state, route, &destination, bus, role_arn).await.map(Json);
    }
    match state.senders.send_test(route, &destination).await {
        Outcome::Delivered(attempt) => {
            // A bus was checked when it was saved. Its success here proves nothing, since AWS also
            // accepts events for a bus that does not exist.
            if matches!(destination.target, Target::Webhook(_)) {
                let reason = format!("a test event was accepted at {}", attempt.at);
                let verification = Verification { verified: true, reason };
                state.destinations.set_verification(route, &destination.target, &verification).await?;
            }
            Ok(Json(TestResult { delivered: true, attempt }))
        }
        Outcome::Failed(attempt, _) => Ok(Json(TestResult { delivered: false, attempt })),
        Outcome::Skipped => Err(VaultError::Busy("the keys cannot be decrypted at the moment".into()).into()),
    }
}

async fn test_role(
    State { destinations, connections, .. }: &State,
    route: Route,
    destination: &Destination,
    bus: &EventBridge,
    role_arn: &RoleArn,
) -> Result<TestResult, Problem> {
    let at = Timestamp::now();
    let Checked { sent, result } = connections.check_role(route, bus, role_arn).await?;
    let verification = result.unwrap_or_else(|refusal| Verification { verified: false, reason: refusal.to_string() });
    destinations.set_verification(route, &destination.target, &verification).await?;
    Ok(match sent {
        Some(Outcome::Delivered(attempt)) => TestResult { delivered: true, attempt },
        Some(Outcome::Failed(attempt, _)) => TestResult { delivered: false, attempt },
        Some(Outcome::Skipped) | None => {
            let attempt = Attempt { at, status: None, latency_ms: 0, response: verification.reason };
            TestResult { delivered: false, attempt }
        }
    })
}
