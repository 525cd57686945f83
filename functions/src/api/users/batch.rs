//! `POST /users/batch`. AWS calls: one DynamoDB transaction for 33 users, and one more for each
//! round of conflicts in it; with an Idempotency-Key two more writes.

use std::collections::HashMap;

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{
        names::{CanonicalName, Names},
        request_seed::RequestSeed,
        user::{NewUser, User},
    },
    http::{Backend, FieldError, Json, JsonBody, Problem, ProblemDocument, Valid},
    logs::ErrorChain,
    store::users::{CreateUserError, Users},
};
use utoipa::ToSchema;

pub use super::create::state;
use super::{UserBody, create::CreateUser};

/// Maximum number of users per batch.
const MAX_USERS: usize = 1000;

/// Users to create, as `{"users": […]}` or as the list itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents an input that is read item by item")]
struct CreateUsers {
    /// Users, 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<CreateUser>,
}

/// Result of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedUsers {
    /// Always `success`; see the result of each item.
    message: &'static str,
    /// Result of each item, in order.
    results: Vec<BatchResult>,
    /// Items that were not created.
    invalid_users: Vec<InvalidUser>,
}

/// Result of an item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum BatchResult {
    /// The user was created.
    Created {
        /// Created user.
        user: Box<UserBody>,
    },
    /// A name of the item is taken, or equals a name of an earlier item.
    Conflict(Reason),
    /// The item is invalid.
    Invalid(Reason),
}

/// Reason why an item was not created.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BatchReason)]
pub struct Reason {
    /// Description of the reason.
    detail: String,
    /// Invalid fields.
    errors: Vec<FieldError>,
}

/// Item that was not created.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidUser {
    /// Index of the item in the batch, starting at 0.
    index: usize,
    /// Reason why the item was not created.
    detail: String,
}

impl From<Problem> for Reason {
    fn from(problem: Problem) -> Self {
        let (detail, errors) = problem.into_parts();
        Self { detail, errors }
    }
}

/// Creates up to 1,000 users. Each item succeeds or fails on its own.
#[utoipa::path(post, path = "/users/batch", tag = "users", security(("apiKey" = ["manage"])), params(("Idempotency-Key" = Option<String>, Header, description = "Unique key of the request, at most 255 characters; a retry with the same key returns the first response.")), request_body = CreateUsers,
    responses(
    (status = 200, body = CreatedUsers),
    (status = 422, body = ProblemDocument, description = "the list is missing, empty or too long"),
    (status = 503, body = ProblemDocument, description = "some users were not created; the problem document names them"),
))]
pub async fn create_users(
    caller: Backend,
    State(users): State<Users>,
    seed: RequestSeed,
    JsonBody(body): JsonBody,
) -> Result<Json<CreatedUsers>, Problem> {
    let items = items(&body)?;
    let mut results: Vec<Option<BatchResult>> = Vec::with_capacity(items.len());
    let (mut new, mut indices, mut claimed) = (Vec::new(), Vec::new(), HashMap::new());
    for (index, item) in items.iter().enumerate() {
        match read(item, &seed, index, &mut claimed) {
            Ok(user) => {
                new.push(user);
                indices.push(index);
                results.push(None);
            }
            Err(rejection) => results.push(Some(rejection)),
        }
    }
    let created = users.create_all(caller.environment, &new).await;
    let mut not_created = Vec::new();
    for ((index, user), outcome) in indices.into_iter().zip(new).zip(created) {
        let result = match outcome {
            Ok(()) => BatchResult::Created { user: Box::new(user.into()) },
            Err(taken @ CreateUserError::Taken { .. }) => BatchResult::Conflict(Problem::from(taken).into()),
            Err(CreateUserError::Store(error)) if error.is_transient() => {
                tracing::warn!(error = %ErrorChain(&*error), "failed to create user");
                let list = if body.is_array() { "" } else { "/users" };
                not_created.push(format!("{list}/{index}"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(slot) = results.get_mut(index) {
            *slot = Some(result);
        }
    }
    if !not_created.is_empty() {
        return Err(Problem::not_created(not_created, items.len()));
    }
    let results: Vec<BatchResult> = results.into_iter().flatten().collect();
    let invalid_users = results.iter().enumerate().filter_map(|(index, result)| match result {
        BatchResult::Created { .. } => None,
        BatchResult::Conflict(reason) | BatchResult::Invalid(reason) => {
            Some(InvalidUser { index, detail: reason.detail.clone() })
        }
    });
    Ok(Json(CreatedUsers { message: "success", invalid_users: invalid_users.collect(), results }))
}

/// Returns the list: the body itself, or its member `users`.
fn items(body: &Value) -> Result<&Vec<Value>, Problem> {
    let (list, pointer) = match body {
        Value::Array(_) => (Some(body), ""),
        _ => (body.get("users"), "/users"),
    };
    match list {
        Some(Value::Array(items)) if (1..=MAX_USERS).contains(&items.len()) => Ok(items),
        Some(Value::Array(_)) => {
            Err(Problem::invalid_field(pointer, format_args!("must have 1 to {MAX_USERS} entries")))
        }
        Some(_) => Err(Problem::invalid_field(pointer, "must be a list")),
        None => Err(Problem::invalid_field(pointer, "is required")),
    }
}

/// Validates an item and checks that no earlier item has one of its names.
fn read(
    item: &Value,
    seed: &RequestSeed,
    index: usize,
    claimed: &mut HashMap<CanonicalName, usize>,
) -> Result<User, BatchResult> {
    let Valid(CreateUser { email, username, full_name, metadata }) =
        Valid::<CreateUser>::payload(item).map_err(|problem| BatchResult::Invalid(problem.into()))?;
    let names = Names::new(username, email, &seed.suffix(index))
        .map_err(|error| BatchResult::Invalid(Problem::invalid_field("/email", error).into()))?;
    let claims = names.claims();
    if let Some((first, earlier)) = claims.iter().find_map(|name| Some((name, *claimed.get(name)?))) {
        let field = if *first == names.username.canonical() { "username" } else { "email" };
        let detail = format!("duplicates that of item {earlier}");
        let errors = vec![FieldError { pointer: format!("/{field}"), detail: detail.clone() }];
        return Err(BatchResult::Conflict(Reason { detail: format!("the {field} {detail}"), errors }));
    }
    claimed.extend(claims.into_iter().map(|name| (name, index)));
    Ok(NewUser { names, full_name, metadata }.create(seed, index))
}
