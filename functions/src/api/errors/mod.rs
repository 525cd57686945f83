//! Errors of workflows.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tenon::{
    domain::error_log::{ErrorDocument, ErrorLog},
    http::{Cursor, Json},
    store::Page,
};
use utoipa::{OpenApi, ToSchema};

pub mod get;
pub mod groups;
pub mod list;
pub mod logs;
pub mod record;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(record::record_errors, list::list_errors, logs::list_logs, groups::group_errors, get::get_error,))]
pub struct Operations;

/// Page of errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorPage<'a> {
    /// Errors of the page.
    errors: Vec<ErrorDocument<'a>>,
    /// Cursor of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Builds the response for a page. `scope` is the list to which its cursor belongs: path and
/// filters.
fn page_response(page: &Page<ErrorLog>, scope: &str) -> Response {
    let errors = page.items.iter().map(ErrorLog::document).collect();
    let cursor = page.next.as_deref().map(|position| Cursor::new(scope, position).into_string());
    Json(ErrorPage { errors, cursor }).into_response()
}
