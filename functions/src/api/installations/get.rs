//! `GET /users/{user}/installations/{integrationId}`. AWS calls: one DynamoDB read of the user by id, or
//! two by name; one read of the installation and one of the integration; one batch read of the workflows
//! and one of the credentials.

use axum::extract;
use tenon::{
    domain::{integration::IntegrationId, names::UserRef},
    http::{AnyCaller, NoInput, Path, Problem, Revised},
    store::ReadOnly,
};

use super::{InstallationBody, State, is_visible};

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
    let AnyCaller { environment, user: caller } = caller;
    let owner = state.owner(environment, caller.as_ref(), &user).await?;
    let (found, integration) = tokio::try_join!(
        state.installations.get(environment, owner.user_id, &id),
        state.integrations.get(environment, &id),
    )?;
    let found = found.filter(|one| is_visible(caller.as_ref(), one));
    let installation = found.ok_or_else(|| Problem::not_found("installation"))?;
    let parts = state.parts.of(environment, std::slice::from_ref(&installation)).await?;
    Ok(InstallationBody::new(installation, owner.status, integration.as_slice(), &parts).revised())
}
