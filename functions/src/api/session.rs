//! `GET /session`. AWS calls: one DynamoDB read of the user, a query of its workflows and one of its credentials, and one
//! batch read for 100 workflows.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    http::{Json, NoStore, Problem, ProblemDocument, StartError, TokenUser},
    store::{Table, credentials::Credentials, users::Users, workflows::Workflows},
};
use utoipa::ToSchema;

use crate::api::{credentials::CredentialBody, users::UserBody, workflows::WorkflowBody};

/// All that a modal needs to show itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// The user whose token it is.
    user: UserBody,
    /// The user's workflows, by name.
    workflows: Vec<WorkflowBody>,
    /// The user's credentials, the oldest first, without their data.
    credentials: Vec<CredentialBody>,
}

/// What the function is given.
#[derive(Clone, Debug)]
pub struct Stores {
    users: Users,
    workflows: Workflows,
    credentials: Credentials,
}

/// The stores of the directory.
pub async fn state(config: &SdkConfig) -> Result<Stores, StartError> {
    let directory = Table::directory(config, 3).await?;
    Ok(Stores {
        users: Users(directory.clone()),
        workflows: Workflows(directory.clone()),
        credentials: Credentials(directory),
    })
}

/// Shows a user what is its own, in one answer.
#[utoipa::path(get, path = "/session", tag = "session", security(("userToken" = [])), responses(
    (status = 200, body = Session),
    (status = 404, body = ProblemDocument, description = "the user was deleted"),
))]
pub async fn show_session(caller: TokenUser, State(stores): State<Stores>) -> Result<NoStore<Json<Session>>, Problem> {
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
