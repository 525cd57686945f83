//! `POST /destinations/{destinationId}/test`. AWS calls: one DynamoDB read, one to the customer's bus, and one of KMS the
//! first time.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    delivery::eventbridge::Buses,
    domain::{delivery::Attempt, destination::Target, id::DestinationId},
    http::{Backend, Json, Path, Problem, ProblemDocument, StartError},
    store::destinations::Destinations,
};
use utoipa::ToSchema;

use super::Connecting;

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Testing {
    destinations: Destinations,
    buses: Buses,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<Testing, StartError> {
    let Connecting { destinations, vault, config } = super::connecting(config).await?;
    Ok(Testing { destinations, buses: Buses::new(&config, vault) })
}

/// What came of a test event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tested {
    /// Whether the other side took it.
    delivered: bool,
    /// The attempt, where it failed: what the other side said.
    #[schema(required = true)]
    failure: Option<Attempt>,
}

/// Sends a test event now, also to a destination that is off, and answers with what the other side said.
#[utoipa::path(post, path = "/destinations/{destinationId}/test", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), responses(
    (status = 200, body = Tested),
    (status = 404, body = ProblemDocument),
))]
pub async fn test_destination(
    caller: Backend,
    State(testing): State<Testing>,
    Path(id): Path<DestinationId>,
) -> Result<Json<Tested>, Problem> {
    let found = testing.destinations.get(caller.environment, id).await?;
    let destination = found.ok_or_else(|| Problem::not_found("destination"))?;
    let failure = match &destination.target {
        Target::EventBridge(bus) => testing.buses.send_test(caller.environment, (id, destination.version), bus).await?,
    };
    Ok(Json(Tested { delivered: failure.is_none(), failure }))
}
