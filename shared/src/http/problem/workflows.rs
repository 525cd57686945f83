//! Errors of workflows.

use super::{Problem, ProblemType};
use crate::{
    domain::id::CredentialId,
    store::workflows::{ChangeWorkflowError, CreateWorkflowError},
};

impl From<CreateWorkflowError> for Problem {
    fn from(error: CreateWorkflowError) -> Self {
        match error {
            CreateWorkflowError::UserChanged => Self::modified_concurrently("user"),
            CreateWorkflowError::NameTaken => name_taken(),
            CreateWorkflowError::CredentialsNotFound(ids) => credentials_not_found(&ids),
            CreateWorkflowError::Store(error) => error.into(),
        }
    }
}

impl From<ChangeWorkflowError> for Problem {
    fn from(error: ChangeWorkflowError) -> Self {
        match error {
            ChangeWorkflowError::NameTaken => name_taken(),
            ChangeWorkflowError::CredentialsNotFound(ids) => credentials_not_found(&ids),
            ChangeWorkflowError::Conflict => Self::modified_concurrently("workflow"),
            ChangeWorkflowError::Store(error) => error.into(),
        }
    }
}

fn name_taken() -> Problem {
    Problem::new(ProblemType::WorkflowExists, "the user already has a workflow with this name")
        .with_error("/name", "is already in use")
}

fn credentials_not_found(ids: &[CredentialId]) -> Problem {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let detail = format!("contains ids that are not credentials of the user: {}", ids.join(", "));
    Problem::invalid_field("/credentialIds", detail)
}
