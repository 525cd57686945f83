//! `GET /users/{user}/installations/{integrationId}`. AWS calls: one DynamoDB read of the user by
//! id, or two by name; one read of the installation and one of the integration; one batch read of
//! the workflows and one of the credentials.

use axum::extract;
use tenon::{
    domain::{integration::IntegrationId, names::UserRef},
    http::{AnyCaller, NoInput, Path, Problem, Revised},
    store::ReadOnly,
};

use super::{Found, InstallationBody, State};

/// Returns an installation of a user.
#[utoipa::path(get, path = "/users/{user}/installations/{integrationId}", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])),
    responses((status = 200, body = InstallationBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_installation(
    caller: AnyCaller,
    extract::State(state): extract::State<State<ReadOnly>>,
    Path(user): Path<UserRef>,
    Path(id): Path<IntegrationId>,
    _: NoInput,
) -> Result<Revised<InstallationBody>, Problem> {
    let found = state.find(caller.environment, caller.user.as_ref(), &user, &id).await?;
    let Found { owner, installation, integration, parts } = found;
    Ok(InstallationBody::new(installation, owner.status, integration.as_slice(), &parts).revised())
}
