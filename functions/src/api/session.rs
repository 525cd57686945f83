//! `GET /session`. AWS calls: one DynamoDB read of the user, one query of its workflows, one query
//! of its credentials, and one batch read for each 100 workflows.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    http::{Invalid, Json, NoInput, NoStore, Problem, ProblemDocument, StartError, TokenUser},
    store::{ReadOnly, Table, credentials::Credentials, users::Users, workflows::Workflows},
};
use utoipa::ToSchema;

use crate::api::{credentials::CredentialBody, users::UserBody, workflows::WorkflowBody};

/// Data that a modal needs: the user with its workflows and credentials.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// User of the token.
    user: UserBody,
    /// Workflows of the user, by name.
    workflows: Vec<WorkflowBody>,
    /// Credentials of the user, oldest first, without their data.
    credentials: Vec<CredentialBody>,
}

/// State of the function.
#[derive(Clone, Debug)]
pub struct Stores {
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    credentials: Credentials<ReadOnly>,
}

/// Connects to the directory table.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let directory = Table::directory(config, 3).await?;
    Ok(Stores {
        users: Users(directory.clone()),
        workflows: Workflows(directory.clone()),
        credentials: Credentials(directory),
    })
}

/// Returns the user of the token with its workflows and credentials.
#[utoipa::path(get, path = "/session", tag = "session", security(("userToken" = [])), responses(
    (status = 200, body = Session),
    (status = 404, body = ProblemDocument, description = "the user was deleted"),
    Invalid,
))]
pub async fn show_session(
    caller: TokenUser,
    State(stores): State<Stores>,
    _: NoInput,
) -> Result<NoStore<Json<Session>>, Problem> {
    let TokenUser { environment, user } = caller;
    let (user, workflows, credentials) = tokio::try_join!(
        stores.users.get(environment, user),
        stores.workflows.list_by_user(environment, user),
        stores.credentials.list_by_user(environment, user),
    )?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    let workflows = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, user.status)).collect();
    let credentials = credentials.into_iter().map(CredentialBody::from).collect();
    Ok(NoStore(Json(Session { user: user.into(), workflows, credentials })))
}
