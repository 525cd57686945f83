//! `POST /users/batch`. AWS calls: one DynamoDB transaction for 33 users, and another for each round of conflicts in
//! it; two writes more with an Idempotency-Key.

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

/// The most users of a batch.
const MAX_USERS: usize = 1000;

/// Many users to be created: as here, or the list by itself.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes for the document what is read item by item")]
struct CreateUsers {
    /// 1 to 1,000 users.
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<CreateUser>,
}

/// What came of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedUsers {
    /// Always `success`: each item has a result of its own.
    message: &'static str,
    /// What came of each item, in order.
    results: Vec<BatchResult>,
    /// The items that were not created, by their places.
    invalid_users: Vec<InvalidUser>,
}

/// What came of one item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum BatchResult {
    /// The user was created.
    Created {
        /// The user.
        user: Box<UserBody>,
    },
    /// One of its names is taken, or is that of an earlier item.
    Conflict(Reason),
    /// It is not valid.
    Invalid(Reason),
}

/// Why an item was not created.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BatchReason)]
pub struct Reason {
    /// In words.
    detail: String,
    /// Which fields, and why.
    errors: Vec<FieldError>,
}

/// An item that was not created.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidUser {
    /// Its place in the batch, the first one being 0.
    index: usize,
    /// Why.
    detail: String,
}

impl From<Problem> for Reason {
    fn from(problem: Problem) -> Self {
        let (detail, errors) = problem.into_parts();
        Self { detail, errors }
    }
}

/// Creates up to 1,000 users, each of them or not at all; the others are not held up by one that conflicts.
#[utoipa::path(post, path = "/users/batch", tag = "users", security(("apiKey" = ["manage"])), params(("Idempotency-Key" = Option<String>, Header, description = "by which a repeat gets the first answer again")), request_body = CreateUsers,
    responses(
    (status = 200, body = CreatedUsers),
    (status = 422, body = ProblemDocument, description = "there is no list, or it is empty or too long"),
    (status = 503, body = ProblemDocument, description = "names the users that were not created; the others were"),
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
                tracing::warn!(error = %ErrorChain(&*error), "a user was not created");
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

/// The list, by itself or as the member `users`.
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

/// One item, valid and with names that no earlier item has.
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
        let detail = format!("is that of item {earlier}");
        let errors = vec![FieldError { pointer: format!("/{field}"), detail: detail.clone() }];
        return Err(BatchResult::Conflict(Reason { detail: format!("the {field} {detail}"), errors }));
    }
    claimed.extend(claims.into_iter().map(|name| (name, index)));
    Ok(NewUser { names, full_name, metadata }.create(seed, index))
}
