//! Events: changes of users and of what they own.

use utoipa::OpenApi;

pub mod get;
pub mod list;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(list::list_events, get::get_event))]
pub struct Operations;
