//! `GET /users/{user}/installations` and `GET /installations`. AWS calls: of a user, one DynamoDB
//! read of the user by id, or two by name, and one query of its installations; of the environment,
//! one query for each of four partitions and one batch read of the owners. All: one query per
//! megabyte of the catalogue, which a process keeps for ten seconds; one batch read for each 100
//! workflows and one for each 100 credentials of the page.

use std::collections::HashMap;

use axum::extract;
use tenon::{
    domain::{
        access::CallingUser,
        id::{EnvironmentId, UserId},
        integration::IntegrationId,
        names::UserRef,
        text::response_bytes,
        user::{User, UserStatus},
    },
    http::{AnyCaller, Input, Json, List, ListScope, PageParams, Path, Problem, Valid},
    start::FromAws,
    store::{
        Page, Position, ReadOnly,
        installations::{self, Installations},
        integrations::Catalogue,
        users::Users,
    },
};

use utoipa::IntoParams;

use super::{InstallationBody, InstallationStatus, Parts, is_visible, position};
use crate::api::users;

/// Query parameters of the lists of installations.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct InstallationFilters {
    /// Integration of the installations.
    integration_id: Option<IntegrationId>,
    /// Status of the installations.
    status: Option<InstallationStatus>,
}

impl InstallationFilters {
    fn matches(&self, installation: &InstallationBody) -> bool {
        self.integration_id.as_ref().is_none_or(|id| installation.integration_id == *id)
            && self.status.is_none_or(|status| installation.status == status)
    }
}

/// State of the functions.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    users: Users<ReadOnly>,
    catalogue: Catalogue,
    installations: Installations<ReadOnly>,
    parts: Parts,
}

impl State {
    /// Returns a page of the installations of a user.
    async fn of_user(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        user: &UserRef,
        (page, scope): (&PageParams, &ListScope),
    ) -> Result<Page<(Position, InstallationBody)>, Problem> {
        let owner = users::find(&self.users, environment, caller, user).await?;
        let mut found = self.installations.by_user(environment, owner.user_id).await?.items;
        found.retain(|one| is_visible(caller, one));
        let catalogue = self.catalogue.all(environment).await?;
        let found = page.select(found, scope, position);
        let parts = self.parts.read(environment, &found.items).await?;
        Ok(found.map(|installation| {
            let position = position(&installation);
            (position, InstallationBody::new(installation, owner.status, &catalogue, &parts))
        }))
    }

    /// Returns a page of the installations of an environment.
    async fn of_environment(
        &self,
        environment: EnvironmentId,
        (page, scope): (&PageParams, &ListScope),
    ) -> Result<Page<(Position, InstallationBody)>, Problem> {
        let Page { items, next } = self.installations.page(environment, page.request(scope)).await?;
        let catalogue = self.catalogue.all(environment).await?;
        let (owners, parts) = tokio::try_join!(
            self.users.get_all(environment, items.iter().map(|installation| installation.user_id)),
            self.parts.read(environment, &items),
        )?;
        let owners: HashMap<UserId, UserStatus> =
            owners.into_iter().map(|User { user_id, status, .. }| (user_id, status)).collect();
        let items = items.into_iter().filter_map(|installation| {
            // The installation of a deleted user is deleted in the background.
            let owner = owners.get(&installation.user_id)?;
            let position = installations::position(environment, &installation);
            Some((position, InstallationBody::new(installation, *owner, &catalogue, &parts)))
        });
        Ok(Page { items: items.collect(), next })
    }
}

/// Lists the installations of a user, newest first. With a filter, a page with a `cursor` can be
/// empty.
#[utoipa::path(get, path = "/users/{user}/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(InstallationFilters, PageParams),
    responses((status = 200, body = List<InstallationBody>)))]
pub async fn list_installations_of_user(
    caller: AnyCaller,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Path(user): Path<UserRef>,
    Valid((filters, page)): Valid<(InstallationFilters, PageParams)>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let AnyCaller { environment, user: caller } = caller;
    let found = state.of_user(environment, caller.as_ref(), &user, (&page, &scope)).await?;
    Ok(filtered(&scope, &filters, found))
}

/// Lists the installations of the environment, newest first; with a user token those of the user. A
/// new installation can be missing from the list of the environment for a moment. With a filter, a
/// page with a `cursor` can be empty.
#[utoipa::path(get, path = "/installations", tag = "installations",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(InstallationFilters, PageParams),
    responses((status = 200, body = List<InstallationBody>), (status = 404, description = "user not found")))]
pub async fn list_installations(
    caller: AnyCaller,
    extract::State(state): extract::State<State>,
    scope: ListScope,
    Valid((filters, page)): Valid<(InstallationFilters, PageParams)>,
) -> Result<Json<List<InstallationBody>>, Problem> {
    let AnyCaller { environment, user: caller } = caller;
    let part = (&page, &scope);
    let found = match &caller {
        Some(caller) => state.of_user(environment, Some(caller), &UserRef::Id(caller.user_id), part).await?,
        None => state.of_environment(environment, part).await?,
    };
    Ok(filtered(&scope, &filters, found))
}

/// Returns the installations of a page that match the filters.
fn filtered(
    scope: &ListScope,
    filters: &InstallationFilters,
    mut found: Page<(Position, InstallationBody)>,
) -> Json<List<InstallationBody>> {
    found.items.retain(|(_, installation)| filters.matches(installation));
    List::of(scope, found.fit(response_bytes))
}
