//! `GET /integrations/{integrationId}`. AWS calls: one DynamoDB read.

use axum::extract;
use tenon::{
    domain::integration::IntegrationId,
    http::{AnyCaller, NoInput, Path, Problem, WithEtag},
    store::{ReadOnly, integrations::Integrations},
};

use super::{IntegrationBody, shown};

/// Returns an integration. Users see enabled ones only.
#[utoipa::path(get, path = "/integrations/{integrationId}", tag = "integrations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])),
    responses((status = 200, body = IntegrationBody, headers(("ETag", description = "entity tag for If-Match")))))]
pub async fn get_integration(
    caller: AnyCaller,
    extract::State(integrations): extract::State<Integrations<ReadOnly>>,
    Path(id): Path<IntegrationId>,
    _: NoInput,
) -> Result<WithEtag<IntegrationBody>, Problem> {
    let found = integrations.get(caller.environment, &id).await?;
    let found = found.filter(|integration| caller.user.is_none() || integration.content.enabled);
    found.map(shown).ok_or_else(|| Problem::not_found("integration"))
}
