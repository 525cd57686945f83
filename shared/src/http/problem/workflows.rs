//! Errors of workflows.

use super::Problem;
use crate::store::workflows::CreateWorkflowError;

impl From<CreateWorkflowError> for Problem {
    fn from(error: CreateWorkflowError) -> Self {
        match error {
            CreateWorkflowError::UserNotFound => Self::not_found("user"),
            CreateWorkflowError::NameTaken => {
                Self::conflict("workflow-exists", "the user already has a workflow with this name")
                    .with_error("/name", "is already in use")
            }
            CreateWorkflowError::CredentialsNotFound(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                Self::invalid_field(
                    "/credentialIds",
                    format_args!("contains ids that are not credentials of the user: {}", ids.join(", ")),
                )
            }
            CreateWorkflowError::Store(error) => error.into(),
        }
    }
}
