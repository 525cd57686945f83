//! `POST /destinations/{destinationId}/rotate-secret`. AWS calls: two DynamoDB reads, one KMS call
//! and one write. All again after a conflict with a concurrent request.

use axum::extract;
use tenon::{
    domain::{delivery::Route, destination::Target, id::DestinationId, timestamp::Timestamp},
    http::{Backend, Conflicts, Json, NoInput, NoStore, OrNotFound, Path, Problem, ProblemType},
    store::destinations::UpdateDestinationError,
};

use super::{DestinationBody, DestinationWithSecret, State};

/// Replaces the secret of a webhook. The new secret is returned only once; the previous one stays
/// valid for 24 hours.
#[utoipa::path(post, path = "/destinations/{destinationId}/rotate-secret", tag = "destinations",
    security(("apiKey" = ["manage"])), responses((status = 200, body = DestinationWithSecret),
        (status = 409, description = "the destination is not a webhook, or was modified by concurrent requests")))]
pub async fn rotate_secret(
    caller: Backend,
    extract::State(State { destinations, connections, .. }): extract::State<State>,
    Path(id): Path<DestinationId>,
    _: NoInput,
) -> Result<NoStore<Json<DestinationWithSecret>>, Problem> {
    let route = Route { environment: caller.environment, destination: id };
    let mut conflicts = Conflicts::new("destination");
    loop {
        let (mut destination, health) = destinations.get_with_health(route).await?.or_not_found("destination")?;
        let Target::Webhook(webhook) = &mut destination.target else {
            return Err(Problem::new(ProblemType::NoSecret, "only webhook destinations have a secret"));
        };
        let secret = connections.rotate_secret(route, webhook).await?;
        destination.version += 1;
        destination.updated_at = Timestamp::now();
        match destinations.update(caller.environment, &destination).await {
            Ok(()) => {
                let destination =
                    DestinationBody::new(route.environment, &connections.principal, (destination, health));
                return Ok(NoStore(Json(DestinationWithSecret { destination, secret: Some(secret) })));
            }
            Err(UpdateDestinationError::Conflict) => conflicts.retry().await?,
            Err(error) => return Err(error.into()),
        }
    }
}
