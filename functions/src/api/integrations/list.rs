//! `GET /integrations`. AWS calls: one DynamoDB query per megabyte of the catalogue, which a
//! process keeps for ten seconds; with `userId` one read of the user by id, or two by name; for a
//! user one query of its installations, one batch read for each 100 workflows and one for each 100
//! credentials.

use axum::extract;
use tenon::{
    domain::{integration::Integration, text::response_bytes},
    http::{AnyCaller, Json, List, ListScope, PageParams, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, installations::Installations, integrations::Catalogue, users::Users},
};

use super::{ForUser, IntegrationBody, is_visible, summaries};
use crate::api::installations::Parts;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    catalogue: Catalogue,
    users: Users<ReadOnly>,
    installations: Installations<ReadOnly>,
    parts: Parts,
}

/// Lists the integrations of the environment, newest first, for a user with its installations.
/// Users see enabled integrations that their token allows. A change can be missing from the list
/// for ten seconds.
#[utoipa::path(get, path = "/integrations", tag = "integrations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ForUser, PageParams),
    responses((status = 200, body = List<IntegrationBody>), (status = 404, description = "user not found")))]
pub async fn list_integrations(
    caller: AnyCaller,
    extract::State(State { catalogue, users, installations, parts }): extract::State<State>,
    scope: ListScope,
    Valid((user, page)): Valid<(ForUser, PageParams)>,
) -> Result<Json<List<IntegrationBody>>, Problem> {
    let viewer = user.viewer(&users, &caller).await?;
    let all = catalogue.all(caller.environment).await?;
    let visible = all.iter().filter(|integration| is_visible(&caller, integration));
    let found = page.select(visible.collect(), &scope, |one| position(one));
    let mut found = found.map(|one| (position(one), IntegrationBody::from(one.clone()))).fit(response_bytes);
    if let Some(viewer) = viewer {
        let installed = installations.by_user(caller.environment, viewer.user_id).await?.items;
        let installed = summaries(&parts, caller.environment, &viewer, installed, &all).await?;
        found = found.map(|body| body.of_user(&installed));
    }
    Ok(List::of(&scope, found))
}

/// Returns the position of an integration in the list.
fn position(integration: &Integration) -> String {
    format!("{}#{}", integration.created_at, integration.integration_id)
}
