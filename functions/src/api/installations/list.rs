//! `GET /users/{user}/installations` and `GET /installations`. AWS calls: of a user, one DynamoDB read of the
//! user by id, or two by name, and one query of its installations; of the environment, one query for each of
//! four partitions and one batch read of the owners. Both: one query per megabyte of the catalogue, which a
//! process keeps for ten seconds; one batch read for each 100 workflows and one for each 100 credentials of
//! the page.

use std::collections::HashMap;

use axum::extract;
use tenon::{
    domain::{
        id::UserId,
        names::UserRef,
        text::response_bytes,
        user::{Status, User},
    },
    http::{AnyCaller, EngineOrBackend, Json, List, ListScope, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        Page, ReadOnly,
        installations::{self, Installations},
        integrations::Catalogue,
        users::Users,
    },
};

use super::{InstallationBody, Parts, is_visible, position};
use crate::api::users;

/// State of the functions.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    users: Users<ReadOnly>,
    catalogue: Catalogue,
    installations: Installations<ReadOnly>,
    parts: Parts,
}

/// Lists the installations of a user, newest first.
#[utoipa::path(get, path = "/users/{user}/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(PageParams),
    responses((status = 200, body = List<InstallationBody>)))]
pub async fn list_installations_of_user(
    caller: AnyCaller,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Path(user): Path<UserRef>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let AnyCaller { environment, user: caller } = caller;
    let after = page.after(&scope)?;
    let owner = users::find(&state.users, environment, caller.as_ref(), &user).await?;
    let mut found = state.installations.by_user(environment, owner.user_id).await?;
    found.retain(|one| is_visible(caller.as_ref(), one));
    let catalogue = state.catalogue.all(environment).await?;
    let found = page.select(found, after.as_deref(), position);
    let parts = state.parts.of(environment, &found.items).await?;
    let body = |installation| {
        let position = position(&installation);
        (position, InstallationBody::new(installation, owner.status, &catalogue, &parts))
    };
    Ok(List::of(&scope, found.map(body).fit(response_bytes)))
}

/// Lists the installations of the environment, newest first. A new installation can be missing for a
/// moment.
#[utoipa::path(get, path = "/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"])), params(PageParams),
    responses((status = 200, body = List<InstallationBody>)))]
pub async fn list_installations(
    EngineOrBackend { environment, .. }: EngineOrBackend,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let after = page.after(&scope)?;
    let Page { items, next } = state.installations.page(environment, (after.as_deref(), page.limit)).await?;
    let catalogue = state.catalogue.all(environment).await?;
    let (owners, parts) = tokio::try_join!(
        state.users.get_all(environment, items.iter().map(|installation| installation.user_id)),
        state.parts.of(environment, &items),
    )?;
    let owners: HashMap<UserId, Status> =
        owners.into_iter().map(|User { user_id, status, .. }| (user_id, status)).collect();
    let items = items.into_iter().filter_map(|installation| {
        // The installation of a deleted user is deleted in the background.
        let owner = owners.get(&installation.user_id)?;
        let position = installations::position(environment, &installation);
        Some((position, InstallationBody::new(installation, *owner, &catalogue, &parts)))
    });
    Ok(List::of(&scope, Page { items: items.collect(), next }.fit(response_bytes)))
}
