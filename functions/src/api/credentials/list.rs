//! `GET /users/{user}/credentials` and `GET /credentials/users/{user}`. AWS calls: one DynamoDB
//! read of the user by id, or two by name, and one query.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::names::UserRef,
    http::{BackendOrUser, Cursor, Fields, Input, Json, Limit, Path, Problem, ProblemDocument, Valid},
    store::ReadOnly,
};
use utoipa::{IntoParams, ToSchema};

pub use super::read_only_state as state;
use super::{CredentialBody, Stores};

/// Query parameters of the list of credentials.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListCredentials {
    /// Maximum number of credentials per page.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Cursor that the previous page returned.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl Input for ListCredentials {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let limit = fields.optional("limit");
        let cursor = fields.optional("cursor");
        Some(Self { limit: limit?.unwrap_or_default(), cursor: cursor? })
    }
}

/// Page of credentials, newest first, without their data.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialPage {
    /// Credentials of the page.
    data: Vec<CredentialBody>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists the credentials of a user, newest first, without their data.
#[utoipa::path(get, path = "/users/{user}/credentials", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(("user" = UserRef, Path), ListCredentials), responses(
    (status = 200, body = CredentialPage),
    (status = 400, body = ProblemDocument, description = "the cursor does not belong to this list"),
    (status = 404, body = ProblemDocument),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_credentials(
    caller: BackendOrUser,
    State(stores): State<Stores<ReadOnly>>,
    Path(user): Path<UserRef>,
    Valid(ListCredentials { limit: Limit(limit), cursor }): Valid<ListCredentials>,
) -> Result<Json<CredentialPage>, Problem> {
    let owner = stores.owner(caller.environment, &user, |owner| caller.can_access(owner)).await?;
    let scope = format!("/users/{}/credentials", owner.user_id);
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
    let page = stores.credentials.page(caller.environment, owner.user_id, (after.as_deref(), limit)).await?;
    let cursor = page.next.map(|position| Cursor::new(&scope, &position).into_string());
    Ok(Json(CredentialPage { data: page.items.into_iter().map(CredentialBody::from).collect(), cursor }))
}

/// Lists the credentials of a user, like `GET /users/{user}/credentials`.
#[utoipa::path(get, path = "/credentials/users/{user}", tag = "credentials",
    security(("apiKey" = ["manage"]), ("userToken" = [])), params(("user" = UserRef, Path), ListCredentials), responses(
    (status = 200, body = CredentialPage),
    (status = 404, body = ProblemDocument),
))]
#[expect(dead_code, reason = "documents the second route of the handler")]
fn list_credentials_of_user() {}
