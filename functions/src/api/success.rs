//! Response of operations that return no data.

use serde::Serialize;
use utoipa::ToSchema;

/// Confirmation of success.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success {
    /// Always `true`.
    success: bool,
}

impl Success {
    /// Creates the confirmation.
    pub(crate) fn new() -> Self {
        Self { success: true }
    }
}
