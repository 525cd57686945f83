//! Filter of a destination as callers write it: users may be given by username or email address.

use tenon::{
    domain::{
        destination::{Filter, MAX_FILTER_ENTRIES},
        error_log::EngineText,
        id::{EnvironmentId, WorkflowId},
        names::UserRef,
    },
    http::{FieldError, Fields, Input, Problem},
    nested_inputs,
    store::users::Users,
};
use utoipa::ToSchema;

/// Filter of the errors that a destination receives. An empty or absent list matches every error.
#[derive(Debug, Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewFilter {
    /// Workflows whose errors are sent.
    #[schema(required = false)]
    workflow_id: Vec<WorkflowId>,
    /// Users whose errors are sent, each by id, username or email address.
    #[schema(required = false)]
    user_id: Vec<UserRef>,
    /// Block types whose errors are sent.
    #[schema(required = false)]
    block_type: Vec<EngineText>,
}

impl Input for NewFilter {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let workflow_id = fields.list("workflowId", MAX_FILTER_ENTRIES);
        let user_id = fields.list("userId", MAX_FILTER_ENTRIES);
        let block_type = fields.list("blockType", MAX_FILTER_ENTRIES);
        Some(Self {
            workflow_id: workflow_id?.unwrap_or_default(),
            user_id: user_id?.unwrap_or_default(),
            block_type: block_type?.unwrap_or_default(),
        })
    }
}

nested_inputs! { NewFilter }

impl NewFilter {
    /// Replaces usernames and email addresses by user ids. One read for each name.
    pub(super) async fn resolve(self, users: &Users, environment: EnvironmentId) -> Result<Filter, Problem> {
        let Self { workflow_id, user_id: given, block_type } = self;
        let (mut user_id, mut unknown) = (Vec::new(), Vec::new());
        for (index, user) in given.iter().enumerate() {
            match users.resolve(environment, user).await? {
                Some(id) => user_id.push(id),
                None => unknown.push(FieldError {
                    pointer: format!("/filter/userId/{index}"),
                    detail: "no user with this id, username or email".into(),
                }),
            }
        }
        if unknown.is_empty() {
            Ok(Filter { workflow_id, user_id, block_type })
        } else {
            Err(Problem::invalid(unknown))
        }
    }
}
