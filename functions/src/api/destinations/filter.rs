//! Filter of a destination as callers write it: users may be given by username or email address.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tenon::{
    domain::{
        destination::{Filter, MAX_FILTER_BYTES, MAX_FILTER_ENTRIES},
        error_log::EngineText,
        id::{EnvironmentId, WorkflowId},
        names::UserRef,
        workflow::EngineIntegrationId,
    },
    http::{FieldErrors, Input, Problem},
    store::users::Users,
};
use utoipa::ToSchema;

/// Maximum number of users that are read concurrently.
const MAX_CONCURRENT_READS: usize = 8;

/// Filter of the records that a destination receives. An absent list matches every record; an empty
/// one is rejected. At most 16 KiB as JSON.
#[derive(Clone, Debug, Default, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFilter {
    /// Workflows whose records are sent.
    #[input(max = MAX_FILTER_ENTRIES, min = 1, default)]
    #[schema(required = false, min_items = 1, max_items = 100)]
    workflow_id: Vec<WorkflowId>,
    /// Users whose records are sent, each by id, username or email address.
    #[input(max = MAX_FILTER_ENTRIES, min = 1, default)]
    #[schema(required = false, min_items = 1, max_items = 100)]
    user_id: Vec<UserRef>,
    /// Block types whose errors are sent; events have none and are sent regardless.
    #[input(max = MAX_FILTER_ENTRIES, min = 1, default)]
    #[schema(required = false, min_items = 1, max_items = 100)]
    block_type: Vec<EngineText>,
    /// Integrations whose records are sent.
    #[input(max = MAX_FILTER_ENTRIES, min = 1, default)]
    #[schema(required = false, min_items = 1, max_items = 100)]
    integration_id: Vec<EngineIntegrationId>,
}

impl NewFilter {
    /// Replaces usernames and email addresses by user ids, and adds those that nobody has, and a
    /// filter that is too long, to the errors. One read for each name.
    pub(super) async fn resolve(
        self,
        users: &Users,
        environment: EnvironmentId,
        errors: &mut FieldErrors,
    ) -> Result<Filter, Problem> {
        let Self { workflow_id, user_id: given, block_type, integration_id } = self;
        let reads: Vec<_> = given.iter().map(|user| users.resolve(environment, user)).collect();
        let found: Vec<_> = stream::iter(reads).buffered(MAX_CONCURRENT_READS).try_collect().await?;
        let mut user_id = Vec::new();
        for (index, found) in found.into_iter().enumerate() {
            match found {
                Some(id) => user_id.push(id),
                None => {
                    let path = ["filter", "userId", &index.to_string()];
                    errors.push(&path, "no user with this username or email address");
                }
            }
        }
        let filter = Filter { workflow_id, user_id, block_type, integration_id };
        if filter.size() > MAX_FILTER_BYTES {
            errors.push(&["filter"], format_args!("must have at most {MAX_FILTER_BYTES} bytes as JSON"));
        }
        Ok(filter)
    }
}
