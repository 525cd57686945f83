//! The answer of what has nothing else to tell.

use serde::Serialize;
use utoipa::ToSchema;

/// That it was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success {
    /// Always true.
    success: bool,
}

impl Success {
    /// It was done.
    pub(crate) fn new() -> Self {
        Self { success: true }
    }
}
