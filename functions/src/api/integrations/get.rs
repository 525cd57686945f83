//! `GET /integrations/{integrationId}`. AWS calls: one DynamoDB read; with `userId` one more read
//! of the user by id, or two by name; for a user one read of the installation, one batch read of
//! its workflows and one of its credentials.

use axum::extract;
use tenon::{
    domain::integration::IntegrationId,
    http::{AnyCaller, OrNotFound, Path, Problem, Revised, Valid},
    start::FromAws,
    store::{ReadOnly, installations::Installations, integrations::Integrations, users::Users},
};

use super::{ForUser, IntegrationBody, is_visible, summaries};
use crate::api::installations::Parts;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    integrations: Integrations<ReadOnly>,
    users: Users<ReadOnly>,
    installations: Installations<ReadOnly>,
    parts: Parts,
}

/// Returns an integration, for a user with its installation. Users see enabled integrations that
/// their token allows.
#[utoipa::path(get, path = "/integrations/{integrationId}", tag = "integrations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ForUser),
    responses((status = 200, body = IntegrationBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_integration(
    caller: AnyCaller,
    extract::State(State { integrations, users, installations, parts }): extract::State<State>,
    Path(id): Path<IntegrationId>,
    Valid(user): Valid<ForUser>,
) -> Result<Revised<IntegrationBody>, Problem> {
    let environment = caller.environment;
    let viewer = user.viewer(&users, &caller).await?;
    let found = integrations.get(environment, &id).await?;
    let found = found.filter(|integration| is_visible(&caller, integration));
    let integration = found.or_not_found("integration")?;
    let revision = integration.revision();
    let mut body = IntegrationBody::from(integration.clone());
    if let Some(viewer) = viewer {
        let installed = installations.get(environment, viewer.user_id, &id).await?;
        let installed = installed.into_iter().collect();
        body = body.of_user(&summaries(&parts, environment, &viewer, installed, &[integration]).await?);
    }
    Ok(Revised::new(revision, body))
}
