//! Types of problems, which clients tell apart.

use http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::domain::text::string_schema;

macro_rules! problem_types {
    ($($(#[$meta:meta])* $variant:ident = $name:literal $status:ident $title:literal)*) => {
        /// Type of a problem, which determines its status and title. Its URI is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemType {
            $($(#[$meta])* $variant,)*
        }

        impl ProblemType {
            /// All types.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the URI, in which only the name differs.
            pub(super) const fn uri(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("urn:tenon:problem:", $name)),*
                }
            }

            /// Returns the last part of the URI.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }

            /// Returns the HTTP status.
            pub(super) const fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status),*
                }
            }

            /// Returns the title, a short summary.
            pub(super) const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title),*
                }
            }
        }
    };
}

problem_types! {
    /// The body is not valid JSON.
    MalformedJson = "malformed-json" BAD_REQUEST "Malformed JSON"
    /// The request is not a valid HTTP request.
    MalformedRequest = "malformed-request" BAD_REQUEST "Malformed request"
    /// The cursor does not belong to the list.
    InvalidCursor = "invalid-cursor" BAD_REQUEST "Invalid cursor"
    /// The caller is not authenticated.
    Unauthorized = "unauthorized" UNAUTHORIZED "Authentication required"
    /// The caller lacks permission.
    Forbidden = "forbidden" FORBIDDEN "Forbidden"
    /// A disabled user gets no token and no install link.
    UserDisabled = "user-disabled" FORBIDDEN "User disabled"
    /// The resource does not exist, or belongs to another environment or user.
    NotFound = "not-found" NOT_FOUND "Not found"
    /// The username or email address is taken.
    UserExists = "user-exists" CONFLICT "User exists"
    /// The user already has a workflow with this name.
    WorkflowExists = "workflow-exists" CONFLICT "Workflow exists"
    /// The environment has the maximum number of integrations.
    TooManyIntegrations = "too-many-integrations" CONFLICT "Too many integrations"
    /// A disabled integration cannot be installed or changed.
    IntegrationDisabled = "integration-disabled" CONFLICT "Integration disabled"
    /// The installation would have more than the maximum number of workflows.
    TooManyWorkflows = "too-many-workflows" CONFLICT "Too many workflows"
    /// The change can be made only through the installation of the workflow.
    WorkflowInstalled = "workflow-installed" CONFLICT "Workflow of an installation"
    /// The environment has the maximum number of destinations.
    TooManyDestinations = "too-many-destinations" CONFLICT "Too many destinations"
    /// Other requests changed the resource at the same time.
    ConcurrentModification = "concurrent-modification" CONFLICT "Concurrent modification"
    /// A replay needs an enabled destination.
    DestinationDisabled = "destination-disabled" CONFLICT "Destination disabled"
    /// The destination that the idempotency key created was deleted before the response was stored.
    DestinationDeleted = "destination-deleted" CONFLICT "Destination deleted"
    /// Only a webhook has a secret.
    NoSecret = "no-secret" CONFLICT "No secret"
    /// An earlier request with the same idempotency key is still in progress.
    IdempotencyKeyInProgress = "idempotency-key-in-progress" CONFLICT "Idempotency-Key in progress"
    /// The resource existed, or may have existed, and can no longer be used.
    Gone = "gone" GONE "Gone"
    /// The resource does not match the precondition of the request.
    PreconditionFailed = "precondition-failed" PRECONDITION_FAILED "Precondition failed"
    /// The body is too large.
    TooLarge = "too-large" PAYLOAD_TOO_LARGE "Body too large"
    /// The body is not plain JSON.
    UnsupportedMediaType = "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "Unsupported media type"
    /// Fields are invalid.
    Validation = "validation" UNPROCESSABLE_ENTITY "Invalid input"
    /// AWS refused the connection that was to be saved.
    ConnectionRefused = "connection-refused" UNPROCESSABLE_ENTITY "AWS refused the connection"
    /// The idempotency key was used with a different body.
    IdempotencyKeyReused = "idempotency-key-reused" UNPROCESSABLE_ENTITY "Idempotency-Key reused"
    /// An unexpected error, whose cause is logged.
    Internal = "internal" INTERNAL_SERVER_ERROR "Internal error"
    /// AWS throttles requests or is unavailable.
    Busy = "busy" SERVICE_UNAVAILABLE "Temporarily unavailable"
    /// Some errors were not recorded.
    NotRecorded = "not-recorded" SERVICE_UNAVAILABLE "Errors not recorded"
    /// Some users were not created.
    NotCreated = "not-created" SERVICE_UNAVAILABLE "Users not created"
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.uri())
    }
}

impl PartialSchema for ProblemType {
    fn schema() -> RefOr<Schema> {
        string_schema(|schema| schema.enum_values(Some(Self::ALL.iter().map(|one| one.uri()))))
    }
}

impl ToSchema for ProblemType {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn guide_lists_every_type_with_its_status() {
        let guide = include_str!("../../../../docs/api.md");
        let (_, table) = guide.split_once("| Status | `type`").unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let documented: BTreeSet<(String, String)> = rows
            .flat_map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let names = cells[2].split(", ").map(|name| name.trim_matches('`').to_owned());
                names.map(|name| (cells[1].to_owned(), name)).collect::<Vec<_>>()
            })
            .collect();
        let defined = ProblemType::ALL.iter().map(|one| (one.status().as_str().to_owned(), one.name().to_owned()));
        assert_eq!(documented, defined.collect());
    }
}
