//! Reasons why parts of a request cannot be accepted, found when they are compared with each other
//! or with what exists.

/// Reason why a part of a request cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Path of the part in the body of the request.
    pub path: Vec<String>,
    /// Reason, without any value.
    pub detail: String,
}

impl Defect {
    /// Creates a defect at a path.
    pub fn new(path: &[&str], detail: impl Into<String>) -> Self {
        Self { path: path.iter().map(|&part| part.to_owned()).collect(), detail: detail.into() }
    }
}
