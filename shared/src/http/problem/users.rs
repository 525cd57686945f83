//! Errors of users.

use super::{Problem, ProblemType};
use crate::store::users::{CreateUserError, TakenNames, UpdateUserError};

impl Problem {
    /// Returns 403: a disabled user gets no token and no install link.
    pub fn user_disabled() -> Self {
        let detail = "the user is disabled; enable it with POST /users/{user}/enable";
        Self::new(ProblemType::UserDisabled, detail)
    }
}

impl From<TakenNames> for Problem {
    fn from(TakenNames { username, email }: TakenNames) -> Self {
        let fields = [("username", username), ("email", email)];
        let taken: Vec<&str> = fields.iter().filter(|(_, taken)| *taken).map(|(name, _)| *name).collect();
        let problem = Self::new(ProblemType::UserExists, format!("already in use: {}", taken.join(", ")));
        problem.at_each(taken.iter().map(|name| format!("/{name}")), "is already in use")
    }
}

impl From<CreateUserError> for Problem {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::Taken(names) => names.into(),
            CreateUserError::Store(error) => error.into(),
        }
    }
}

impl From<UpdateUserError> for Problem {
    fn from(error: UpdateUserError) -> Self {
        match error {
            UpdateUserError::Taken(names) => names.into(),
            UpdateUserError::Conflict => Self::modified_concurrently("user"),
            UpdateUserError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::body, *};

    #[tokio::test]
    async fn conflict_names_the_taken_fields() {
        let document = body(TakenNames { username: false, email: true }.into()).await;
        assert_eq!(document["type"], "urn:tenon:problem:user-exists");
        assert_eq!(document["errors"], json!([{ "pointer": "/email", "detail": "is already in use" }]));
        assert_eq!(document["message"], document["detail"]);
    }
}
