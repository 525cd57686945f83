//! Errors of workflows.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tenon::{
    domain::{
        error_log::{EngineText, ErrorDocument, ErrorLog},
        fingerprint::Fingerprint,
        timestamp::Timestamp,
        workflow::EngineIntegrationId,
    },
    http::{Input, Json, ListScope},
    store::{
        Page,
        errors::{ErrorQuery, ErrorScope},
    },
};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::api::records::{SortOrder, check_range};

pub mod get;
pub mod groups;
pub mod list;
pub mod logs;
pub mod record;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(
    paths(record::record_errors, list::list_errors, logs::list_logs, groups::group_errors, get::get_error),
    components(schemas(SortOrder))
)]
pub struct Operations;

/// Query parameters of all lists of errors.
#[derive(Debug, Input, IntoParams)]
#[input(check(check_range: since, until))]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ErrorFilters {
    /// Start of the time range, inclusive; rounded down to a whole second.
    since: Option<Timestamp>,
    /// End of the time range, exclusive; rounded up to a whole second.
    until: Option<Timestamp>,
    /// Execution of the errors.
    execution_id: Option<EngineText>,
    /// Block type of the errors.
    block_type: Option<EngineText>,
    /// Fingerprint of the errors, as their group has it.
    fingerprint: Option<Fingerprint>,
    /// Integration of the errors' workflows.
    integration_id: Option<EngineIntegrationId>,
}

impl ErrorFilters {
    /// Returns the query of the errors in a scope that match.
    fn query(self, scope: ErrorScope) -> ErrorQuery {
        let Self { since, until, execution_id, block_type, fingerprint, integration_id } = self;
        ErrorQuery {
            scope,
            since,
            until,
            execution_id,
            block_type,
            fingerprint,
            integration_id,
            ..ErrorQuery::default()
        }
    }
}

/// Page of errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorPage<'a> {
    /// Errors of the page.
    errors: Vec<ErrorDocument<'a>>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cursor: Option<String>,
}

/// Builds the response for a page of a list.
fn page_response(page: &Page<ErrorLog>, scope: &ListScope) -> Response {
    let errors = page.items.iter().map(ErrorLog::document).collect();
    let cursor = page.next.as_deref().map(|position| scope.cursor(position));
    Json(ErrorPage { errors, cursor }).into_response()
}
