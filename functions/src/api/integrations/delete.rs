//! `DELETE /integrations/{integrationId}`. AWS calls: one DynamoDB transaction.

use axum::extract;
use tenon::{
    domain::integration::IntegrationId,
    http::{Backend, Json, NoInput, Path, Problem},
    store::integrations::Integrations,
};

use crate::api::success::Success;

/// Removes an integration from the catalogue. Existing workflows keep running. To retire an
/// integration, set `enabled` to false instead.
#[utoipa::path(delete, path = "/integrations/{integrationId}", tag = "integrations", security(("apiKey" = ["manage"])),
    responses((status = 200, body = Success)))]
pub async fn delete_integration(
    caller: Backend,
    extract::State(integrations): extract::State<Integrations>,
    Path(id): Path<IntegrationId>,
    _: NoInput,
) -> Result<Json<Success>, Problem> {
    if integrations.delete(caller.environment, &id).await? {
        Ok(Json(Success::new()))
    } else {
        Err(Problem::not_found("integration"))
    }
}
