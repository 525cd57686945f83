//! `GET /integrations`. AWS calls: one DynamoDB query per megabyte of the catalogue, which a process
//! keeps for ten seconds.

use axum::extract;
use tenon::{
    domain::integration::Integration,
    http::{AnyCaller, Json, List, PageParams, Problem, Valid},
    store::integrations::Catalogue,
};

use super::IntegrationBody;

/// Maximum size of a page, in bytes of JSON.
const MAX_PAGE_BYTES: usize = 4_000_000;

/// Lists the integrations of the environment, newest first; users see enabled ones only. A change can be
/// missing from the list for ten seconds.
#[utoipa::path(get, path = "/integrations", tag = "integrations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(PageParams),
    responses((status = 200, body = List<IntegrationBody>)))]
pub async fn list_integrations(
    caller: AnyCaller,
    extract::State(catalogue): extract::State<Catalogue>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<IntegrationBody>>, Problem> {
    let scope = "/integrations";
    let after = page.after(scope)?;
    let all = catalogue.all(caller.environment).await?;
    let visible = all.iter().filter(|integration| caller.user.is_none() || integration.content.enabled);
    let size = |integration: &Integration| integration.content.size();
    let page = page.select_up_to(MAX_PAGE_BYTES, size, visible.cloned().collect(), after.as_deref(), position);
    Ok(List::of(scope, page))
}

/// Returns the position of an integration in the list.
fn position(integration: &Integration) -> String {
    format!("{}#{}", integration.created_at, integration.integration_id)
}
