//! `GET /session`. AWS calls: one DynamoDB read of the environment and one of the user; one query of its
//! workflows, one of its credentials and one of its installations; one batch read for each 100 workflows;
//! and one query per megabyte of the catalogue, which a process keeps for ten seconds.

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
    store::{
        ReadOnly, credentials::Credentials, environments::Environments, installations::Installations,
        integrations::Catalogue, users::Users, workflows::Workflows,
    },
};
use utoipa::ToSchema;

use crate::api::{
    credentials::CredentialBody,
    installations::{InstallationBody, Parts, ReadParts},
    users::UserBody,
    workflows::WorkflowBody,
};

/// Data that a modal needs: the user with its installations, workflows and credentials, and the defaults of
/// the modal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// Environment of the user.
    environment: SessionEnvironment,
    /// User of the token.
    user: UserBody,
    /// Installations of the user, newest first, at most 200.
    installations: Vec<InstallationBody>,
    /// Workflows of the user, by name, at most 200.
    workflows: Vec<WorkflowBody>,
    /// Credentials of the user, oldest first, without their data, at most 200.
    credentials: Vec<CredentialBody>,
    /// `true` if the user has more of them; absent otherwise.
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

/// Maximum number of installations, of workflows and of credentials in a session.
const MAX_ITEMS: usize = 200;

/// State of the function.
#[derive(Clone, Debug, FromAws)]
#[aws(connections = 5)]
pub struct State {
    environments: Environments<ReadOnly>,
    users: Users<ReadOnly>,
    workflows: Workflows<ReadOnly>,
    credentials: Credentials<ReadOnly>,
    installations: Installations<ReadOnly>,
    catalogue: Catalogue,
    parts: Parts,
}

/// Returns the user of the token with its installations, workflows and credentials, and the defaults of the modal.
#[utoipa::path(get, path = "/session", tag = "session", security(("userToken" = [])),
    responses((status = 200, body = Session), (status = 404, description = "the user was deleted")))]
pub async fn get_session(
    caller: TokenUser,
    extract::State(state): extract::State<State>,
    _: NoInput,
) -> Result<NoStore<Json<Session>>, Problem> {
    let TokenUser { environment, user } = caller;
    let (found, user, (workflows, all_workflows), (credentials, all_credentials), mut installations) = tokio::try_join!(
        state.environments.find(environment),
        state.users.get(environment, user),
        state.workflows.first_by_user(environment, user, MAX_ITEMS),
        state.credentials.first_by_user(environment, user, MAX_ITEMS),
        state.installations.by_user(environment, user),
    )?;
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    let Environment { name, modal: Modal { theme, lang, origins: _ }, .. } =
        found.ok_or_else(|| Problem::not_found("environment"))?;
    let environment = SessionEnvironment { name, modal: SessionModal { theme, lang } };
    let all_installations = installations.len() <= MAX_ITEMS;
    installations.truncate(MAX_ITEMS);
    let parts = if all_workflows && all_credentials {
        ReadParts::new(workflows.clone(), credentials.clone())
    } else {
        state.parts.of(caller.environment, &installations).await?
    };
    let catalogue = state.catalogue.all(caller.environment).await?;
    let installations = installations.into_iter().map(|installation| {
        let integration = catalogue.iter().find(|one| one.integration_id == installation.integration_id);
        InstallationBody::new(installation, user.status, integration, &parts)
    });
    let installations = installations.collect();
    let workflows = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, user.status)).collect();
    let credentials = credentials.into_iter().map(CredentialBody::from).collect();
    let truncated = !(all_workflows && all_credentials && all_installations);
    Ok(NoStore(Json(Session { environment, user: user.into(), installations, workflows, credentials, truncated })))
}
