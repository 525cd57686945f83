//! `GET /workflows`. AWS calls: one DynamoDB read of the user by id, two by name; one query of its workflows' names, and one read
//! of a page of them.

use axum::extract::State;
use serde::Serialize;
use tenon::{
    domain::names::UserRef,
    http::{AnyCaller, Cursor, Fields, Input, Json, Limit, Problem, ProblemDocument, Valid},
};
use utoipa::{IntoParams, ToSchema};

pub use super::state;
use super::{Stores, WorkflowBody};

/// Whose workflows, and which part of the list is asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListWorkflows {
    /// Whose workflows; a user may leave it out for its own.
    user_id: Option<UserRef>,
    /// How many workflows a page has at most.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// Where the page before ended.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
}

impl Input for ListWorkflows {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let user_id = fields.optional("userId");
        let limit = fields.optional("limit");
        let cursor = fields.optional("cursor");
        Some(Self { user_id: user_id?, limit: limit?.unwrap_or_default(), cursor: cursor? })
    }
}

/// A page of workflows, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowPage {
    /// The workflows.
    data: Vec<WorkflowBody>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Lists a user's workflows.
#[utoipa::path(get, path = "/workflows", tag = "workflows",
    security(("apiKey" = ["manage"]), ("apiKey" = ["engine"]), ("userToken" = [])), params(ListWorkflows), responses(
    (status = 200, body = WorkflowPage),
    (status = 400, body = ProblemDocument, description = "the cursor is not one of this list"),
    (status = 404, body = ProblemDocument, description = "there is no such user"),
    (status = 422, body = ProblemDocument),
))]
pub async fn list_workflows(
    caller: AnyCaller,
    State(stores): State<Stores>,
    Valid(ListWorkflows { user_id, limit: Limit(limit), cursor }): Valid<ListWorkflows>,
) -> Result<Json<WorkflowPage>, Problem> {
    let owner = stores.owner(caller.environment, caller.user, user_id.as_ref()).await?;
    let scope = format!("/workflows?userId={}", owner.user_id);
    let after = cursor.map(|cursor| cursor.position(&scope)).transpose()?;
    let mut ids = stores.workflows.list_ids_by_user(caller.environment, owner.user_id).await?;
    ids.retain(|id| after.as_ref().is_none_or(|after| id.to_string() < *after));
    let more = ids.len() > limit;
    ids.truncate(limit);
    let workflows = stores.workflows.get_all(caller.environment, &ids).await?;
    let cursor = ids.last().filter(|_| more).map(|last| Cursor::new(&scope, &last.to_string()).into_string());
    let data = workflows.into_iter().map(|workflow| WorkflowBody::new(workflow, owner.status)).collect();
    Ok(Json(WorkflowPage { data, cursor }))
}
