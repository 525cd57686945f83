//! `GET /users/{user}/installations`. AWS calls: one DynamoDB read of the user by id, or two by name; one
//! query of its installations, and one query per megabyte of the catalogue, which a process keeps for ten
//! seconds; one batch read for each 100 workflows and one for each 100 credentials of the page.

use axum::extract;
use tenon::{
    domain::names::UserRef,
    http::{AnyCaller, Json, List, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{Page, ReadOnly, installations::Installations, integrations::Catalogue, users::Users},
};

use super::{InstallationBody, Parts, position};

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    pub(super) users: Users<ReadOnly>,
    pub(super) catalogue: Catalogue,
    pub(super) installations: Installations<ReadOnly>,
    pub(super) parts: Parts,
}

/// Lists the installations of a user, newest first.
#[utoipa::path(get, path = "/users/{user}/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(PageParams),
    responses((status = 200, body = List<InstallationBody>)))]
pub async fn list_installations_of_user(
    caller: AnyCaller,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Valid(page): Valid<PageParams>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let AnyCaller { environment, user: caller } = caller;
    let found = state.users.find_as(environment, caller.as_ref(), &user).await?;
    let owner = found.ok_or_else(|| Problem::not_found("user"))?;
    let scope = format!("/users/{}/installations", owner.user_id);
    let after = page.after(&scope)?;
    let mut found = state.installations.by_user(environment, owner.user_id).await?;
    found.retain(|one| caller.as_ref().is_none_or(|caller| caller.allowed.installation(one)));
    let catalogue = state.catalogue.all(environment).await?;
    let Page { items, next } = page.select(found, after.as_deref(), position);
    let parts = state.parts.of(environment, &items).await?;
    let items = items.into_iter().map(|installation| {
        let integration = catalogue.iter().find(|one| one.integration_id == installation.integration_id);
        InstallationBody::new(installation, owner.status, integration, &parts)
    });
    Ok(List::of(&scope, Page { items: items.collect::<Vec<_>>(), next }))
}
