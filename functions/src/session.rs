//! `GET /session`. AWS calls: one DynamoDB read of the user, a query of its workflows and one of its credentials, and one
//! batch read for 100 workflows.

use aws_config::SdkConfig;
use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::{
        credential::Credential,
        id::{CredentialId, UserId},
        text::Text,
        timestamp::Timestamp,
    },
    http::{Json, Private, Problem, ProblemDocument, StartError, TokenUser},
    store::{Table, credentials::Credentials, users::Users, workflows::Workflows},
};
use utoipa::ToSchema;

use crate::{users::UserBody, workflows::WorkflowBody};

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

/// A credential as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialBody {
    /// Its id.
    credential_id: CredentialId,
    /// Whose it is.
    user_id: UserId,
    /// What it is for, such as `shopify`.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// A name for people.
    name: Text<256>,
    /// When it was created.
    created_at: Timestamp,
    /// When it was last changed.
    updated_at: Timestamp,
}

impl From<Credential> for CredentialBody {
    fn from(credential: Credential) -> Self {
        let Credential { credential_id, user_id, credential_type, name, created_at, updated_at } = credential;
        Self { credential_id, user_id, credential_type, name, created_at, updated_at }
    }
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
    let directory = Table::directory(config).await?;
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
pub async fn show_session(caller: TokenUser, State(stores): State<Stores>) -> Result<Private<Json<Session>>, Problem> {
    let TokenUser { environment, user } = caller;
    let (user, workflows, credentials) = tokio::try_join!(
        stores.users.get(environment, user),
        stores.workflows.of_user(environment, user),
        stores.credentials.of_user(environment, user),
    )?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    let workflows = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, user.status)).collect();
    let credentials = credentials.into_iter().map(CredentialBody::from).collect();
    Ok(Private(Json(Session { user: user.into(), workflows, credentials })))
}
