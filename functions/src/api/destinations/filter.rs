//! The errors to which a destination is limited, as they are given: users also by their names.

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

/// The errors to which a destination is limited. A list that is empty or absent does not limit.
#[derive(Debug, Default, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct NewFilter {
    /// Only errors of these workflows.
    #[schema(required = false)]
    workflow_id: Vec<WorkflowId>,
    /// Only errors of these users, each by its id, username or e-mail address.
    #[schema(required = false)]
    user_id: Vec<UserRef>,
    /// Only errors of these kinds of block.
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
    /// The filter with the users' ids. One read for each name.
    pub(super) async fn resolve(self, users: &Users, environment: EnvironmentId) -> Result<Filter, Problem> {
        let Self { workflow_id, user_id: given, block_type } = self;
        let (mut user_id, mut unknown) = (Vec::new(), Vec::new());
        for (index, user) in given.iter().enumerate() {
            match users.resolve(environment, user).await? {
                Some(id) => user_id.push(id),
                None => unknown.push(FieldError {
                    pointer: format!("/filter/userId/{index}"),
                    detail: "is not the name of a user".into(),
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
