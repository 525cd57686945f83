//! `POST /users/batch`. AWS calls: one DynamoDB transaction for 25 users, and one more for each
//! round of conflicts in it; with an Idempotency-Key two more writes.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tenon::{
    domain::{names::CanonicalName, request_seed::RequestSeed, user::User},
    http::{Backend, FieldError, FieldErrors, FromJson, IdempotencyKey, Input, Json, Location, Problem, Valid},
    logs::ErrorChain,
    store::users::{CreateUserError, Users},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, OneOfBuilder, Ref, RefOr, Schema},
};

use super::{UserBody, create::CreateUser};

/// Maximum number of users per batch.
const MAX_USERS: usize = 1000;

/// Maximum number of errors that the result of an item names. 1,000 items with as many unknown
/// members as a body can contain still fit into a response.
const MAX_ERRORS_PER_ITEM: usize = 5;

/// Users to create.
#[derive(Input, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateUserList {
    /// Users, 1 to 1,000.
    #[input(max = MAX_USERS, min = 1)]
    #[schema(value_type = Vec<CreateUser>, min_items = 1, max_items = 1000)]
    users: Vec<Item>,
}

/// Item of a batch, which is invalid on its own.
struct Item(Result<CreateUser, Problem>);

impl FromJson for Item {
    fn from_json(value: &Value, _: &mut Location<'_>) -> Option<Self> {
        Some(Self(Valid::item(value, MAX_ERRORS_PER_ITEM).map(|Valid(user)| user)))
    }
}

/// Items of a batch: `{"users": […]}`, or the list itself.
pub struct CreateUsers {
    items: Vec<Item>,
    /// JSON pointer to the list.
    pointer: &'static str,
}

impl FromJson for CreateUsers {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        match value {
            Value::Array(_) => Some(Self { items: location.list(value, 1..=MAX_USERS)?, pointer: "" }),
            _ => CreateUserList::from_json(value, location)
                .map(|CreateUserList { users }| Self { items: users, pointer: "/users" }),
        }
    }
}

impl PartialSchema for CreateUsers {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(Ref::from_schema_name("CreateUser"))
            .min_items(Some(1))
            .max_items(Some(MAX_USERS));
        let description = Some("Users to create, in an object or as a list.");
        OneOfBuilder::new().item(Ref::from_schema_name("CreateUserList")).item(list).description(description).into()
    }
}

impl ToSchema for CreateUsers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((CreateUserList::name().into(), CreateUserList::schema()));
        CreateUserList::schemas(schemas);
    }
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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
    /// Invalid fields, at most 5.
    errors: Vec<FieldError>,
    /// Number of further invalid fields; present if there are more.
    #[serde(rename = "moreErrors", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    more_errors: Option<usize>,
}

/// Item that was not created.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidUser {
    /// Index of the item in the batch, starting at 0.
    index: usize,
    /// Reason why the item was not created.
    detail: String,
}

impl Reason {
    /// Returns the reason why an item is invalid.
    fn invalid(problem: Problem) -> Self {
        let (detail, errors) = problem.into_parts();
        let detail = if errors.is_empty() { detail } else { errors.describe("the item") };
        Self::new(detail, errors)
    }

    /// Returns the reason why an item conflicts with what is stored.
    fn conflict(problem: Problem) -> Self {
        let (detail, errors) = problem.into_parts();
        Self::new(detail, errors)
    }

    fn new(detail: String, errors: FieldErrors) -> Self {
        let (errors, more) = errors.into_parts();
        Self { detail, errors, more_errors: Some(more).filter(|more| *more > 0) }
    }
}

/// Creates up to 1,000 users. Each item succeeds or fails on its own.
#[utoipa::path(post, path = "/users/batch", tag = "users", security(("apiKey" = ["manage"])), params(IdempotencyKey),
    request_body = CreateUsers, responses((status = 200, body = CreatedUsers),
        (status = 503, description = "some users were not created; the problem document names them")))]
pub async fn create_users(
    caller: Backend,
    State(users): State<Users>,
    seed: RequestSeed,
    Valid(CreateUsers { items, pointer }): Valid<CreateUsers>,
) -> Result<Json<CreatedUsers>, Problem> {
    let count = items.len();
    let mut results = BTreeMap::new();
    let (mut new, mut indices, mut claimed) = (Vec::new(), Vec::new(), HashMap::new());
    for (index, Item(item)) in items.into_iter().enumerate() {
        match check(item, &seed, index, &mut claimed) {
            Ok(user) => {
                new.push(user);
                indices.push(index);
            }
            Err(rejection) => {
                results.insert(index, rejection);
            }
        }
    }
    let created = users.create_all(caller.environment, &new, &seed).await;
    let mut not_created = Vec::new();
    for ((index, user), outcome) in indices.into_iter().zip(new).zip(created) {
        let result = match outcome {
            Ok(()) => BatchResult::Created { user: Box::new(user.into()) },
            Err(CreateUserError::Taken(names)) => BatchResult::Conflict(Reason::conflict(names.into())),
            Err(CreateUserError::Store(error)) if error.is_transient() => {
                tracing::warn!(error = %ErrorChain(&*error), "failed to create user");
                not_created.push(format!("{pointer}/{index}"));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        results.insert(index, result);
    }
    if !not_created.is_empty() {
        return Err(Problem::not_created(&not_created, count));
    }
    let results: Vec<BatchResult> = results.into_values().collect();
    let invalid_users = results.iter().enumerate().filter_map(|(index, result)| match result {
        BatchResult::Created { .. } => None,
        BatchResult::Conflict(reason) | BatchResult::Invalid(reason) => {
            Some(InvalidUser { index, detail: reason.detail.clone() })
        }
    });
    Ok(Json(CreatedUsers { message: "success", invalid_users: invalid_users.collect(), results }))
}

/// Checks that an item is valid and that no earlier item has one of its names.
fn check(
    item: Result<CreateUser, Problem>,
    seed: &RequestSeed,
    index: usize,
    claimed: &mut HashMap<CanonicalName, usize>,
) -> Result<User, BatchResult> {
    let created = item.and_then(|item| item.into_user(seed, index));
    let user = created.map_err(|problem| BatchResult::Invalid(Reason::invalid(problem)))?;
    let claims = user.names().claims();
    let taken = claims.iter().filter_map(|name| Some((name, *claimed.get(name)?))).map(|(name, earlier)| {
        let field = if *name == user.username.canonical() { "username" } else { "email" };
        (field, format!("duplicates that of item {earlier}"))
    });
    let taken: Vec<(&str, String)> = taken.collect();
    if !taken.is_empty() {
        let detail = taken.iter().map(|(field, detail)| format!("the {field} {detail}")).collect::<Vec<_>>().join("; ");
        let errors = taken.into_iter().map(|(field, detail)| FieldError { pointer: format!("/{field}"), detail });
        return Err(BatchResult::Conflict(Reason::new(detail, errors.collect::<Vec<_>>().into())));
    }
    claimed.extend(claims.into_iter().map(|name| (name, index)));
    Ok(user)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn response_to_the_worst_batch_fits_into_a_response_of_lambda() {
        /// Maximum size of a response of a function (AWS limit).
        const MAX_RESPONSE: usize = 6_291_556;
        for letter in ['"', '\\', '~', '\u{1}', '🙂', 'x'] {
            let names: Vec<String> = (0..10).map(|n| format!("{n}{}", letter.to_string().repeat(200))).collect();
            let item: Value = json!(names.iter().map(|name| (name.clone(), 0)).collect::<HashMap<_, _>>());
            let reason = |item: &Value| match Valid::<CreateUser>::item(item, MAX_ERRORS_PER_ITEM) {
                Ok(_) => panic!("the item is invalid"),
                Err(problem) => Reason::invalid(problem),
            };
            let reason = reason(&item);
            let results: Vec<BatchResult> = vec![BatchResult::Invalid(reason.clone()); MAX_USERS];
            let invalid_users = (0..MAX_USERS).map(|index| InvalidUser { index, detail: reason.detail.clone() });
            let body = CreatedUsers { message: "success", invalid_users: invalid_users.collect(), results };
            let body = serde_json::to_string(&body).unwrap();
            // Lambda escapes the body once more.
            let response = serde_json::to_string(&body).unwrap();
            assert!(response.len() < MAX_RESPONSE, "{letter:?}: {}", response.len());
        }
    }
}
