//! `GET /installations`. AWS calls: one DynamoDB query for each of four partitions, and one per megabyte of
//! the catalogue, which a process keeps for ten seconds; one batch read of the owners, one for each 100
//! workflows and one for each 100 credentials of the page.

use std::collections::HashMap;

use axum::extract;
use tenon::{
    domain::{
        id::UserId,
        user::{Status, User},
    },
    http::{EngineOrBackend, Json, List, PageParams, Problem, Valid},
    store::Page,
};

use super::{InstallationBody, list::State};

/// Lists the installations of the environment, newest first. A new installation can be missing for a
/// moment.
#[utoipa::path(get, path = "/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"])), params(PageParams),
    responses((status = 200, body = List<InstallationBody>)))]
pub async fn list_installations(
    EngineOrBackend { environment }: EngineOrBackend,
    extract::State(state): extract::State<State>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let scope = "/installations";
    let after = page.after(scope)?;
    let Page { items, next } = state.installations.page(environment, (after.as_deref(), page.limit)).await?;
    let catalogue = state.catalogue.all(environment).await?;
    let (owners, parts) = tokio::try_join!(
        state.users.get_all(environment, items.iter().map(|installation| installation.user_id)),
        state.parts.of(environment, &items),
    )?;
    let owners: HashMap<UserId, Status> =
        owners.into_iter().map(|User { user_id, status, .. }| (user_id, status)).collect();
    let items = items.into_iter().filter_map(|installation| {
        // That of a deleted user is deleted in the background.
        let owner = owners.get(&installation.user_id)?;
        let integration = catalogue.iter().find(|one| one.integration_id == installation.integration_id);
        Some(InstallationBody::new(installation, *owner, integration, &parts))
    });
    Ok(List::of(scope, Page { items: items.collect::<Vec<_>>(), next }))
}
