//! `GET /integrations/{integrationId}`. AWS calls: one DynamoDB read; with `userId` one more read of the
//! user by id, or two by name.

use axum::extract;
use tenon::{
    domain::integration::IntegrationId,
    http::{AnyCaller, Path, Problem, Valid, WithEtag},
    start::FromAws,
    store::{ReadOnly, integrations::Integrations, users::Users},
};

use super::{ForUser, IntegrationBody, shown};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    integrations: Integrations<ReadOnly>,
    users: Users<ReadOnly>,
}

/// Returns an integration. Users see enabled ones only.
#[utoipa::path(get, path = "/integrations/{integrationId}", tag = "integrations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ForUser),
    responses((status = 200, body = IntegrationBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_integration(
    caller: AnyCaller,
    extract::State(State { integrations, users }): extract::State<State>,
    Path(id): Path<IntegrationId>,
    Valid(user): Valid<ForUser>,
) -> Result<WithEtag<IntegrationBody>, Problem> {
    user.check(&users, caller).await?;
    let found = integrations.get(caller.environment, &id).await?;
    let found = found.filter(|integration| caller.user.is_none() || integration.content.enabled);
    found.map(shown).ok_or_else(|| Problem::not_found("integration"))
}
