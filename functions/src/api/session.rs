//! `GET /session`. AWS calls: one DynamoDB read of the environment and one of the user, one query of its
//! workflows, one query of its credentials, and one batch read for each 100 workflows.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        environment::Environment,
        modal::{Language, Modal, Theme},
        text::Text,
    },
    http::{Json, NoInput, NoStore, Problem, TokenUser},
    start::FromAws,
    store::{ReadOnly, credentials::Credentials, environments::Environments, users::Users, workflows::Workflows},
};
use utoipa::ToSchema;

use crate::api::{credentials::CredentialBody, users::UserBody, workflows::WorkflowBody};

/// Data that a modal needs: the user with its workflows and credentials, and the defaults of the modal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// Environment of the user.
    environment: SessionEnvironment,
    /// User of the token.
    user: UserBody,
    /// Workflows of the user, by name, at most 200.
    workflows: Vec<WorkflowBody>,
    /// Credentials of the user, oldest first, without their data, at most 200.
    credentials: Vec<CredentialBody>,
    /// `true` if the user has more workflows or credentials; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    truncated: bool,
}

/// Environment of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionEnvironment {
    /// Display name.
    name: Text<128>,
    /// Defaults of the modal.
    modal: SessionModal,
}

/// Defaults of the modal that the page shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionModal {
    /// Theme.
    #[schema(required = true)]
    theme: Option<Theme>,
    /// Language.
    #[schema(required = true)]
    lang: Option<Language>,
}

/// Maximum number of workflows and of credentials in a session.
const MAX_ITEMS: usize = 200;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 4)]
pub struct State {
    environments: Environments<ReadOnly>,
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    credentials: Credentials<ReadOnly>,
}

/// Returns the user of the token with its workflows and credentials, and the defaults of the modal.
#[utoipa::path(get, path = "/session", tag = "session", security(("userToken" = [])),
    responses((status = 200, body = Session), (status = 404, description = "the user was deleted")))]
pub async fn get_session(
    caller: TokenUser,
    extract::State(state): extract::State<State>,
    _: NoInput,
) -> Result<NoStore<Json<Session>>, Problem> {
    let TokenUser { environment, user } = caller;
    let (found, user, (workflows, all_workflows), (credentials, all_credentials)) = tokio::try_join!(
        state.environments.find(environment),
        state.users.get(environment, user),
        state.workflows.first_by_user(environment, user, MAX_ITEMS),
        state.credentials.first_by_user(environment, user, MAX_ITEMS),
    )?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    let Environment { name, modal: Modal { theme, lang, origins: _ }, .. } =
        found.ok_or_else(|| Problem::not_found("environment"))?;
    let environment = SessionEnvironment { name, modal: SessionModal { theme, lang } };
    let workflows = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, user.status)).collect();
    let credentials = credentials.into_iter().map(CredentialBody::from).collect();
    let truncated = !all_workflows || !all_credentials;
    Ok(NoStore(Json(Session { environment, user: user.into(), workflows, credentials, truncated })))
}
