//! `POST /users`. AWS calls: one DynamoDB transaction; with an Idempotency-Key two more writes.

use axum::extract::State;
use tenon::{
    domain::{
        names::{Email, Names, Username},
        request_seed::RequestSeed,
        user::{FullName, Metadata, NewUser, User},
    },
    http::{Backend, Created, Fields, IdempotencyKey, Input, Problem, Revised, Valid},
    store::users::Users,
};
use utoipa::ToSchema;

use super::UserBody;

/// Body of a request to create a user: `email`, `username` or both.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_names: username, email))]
pub struct CreateUser {
    /// Email address, unique in the environment.
    pub(super) email: Option<Email>,
    /// Username, unique in the environment; generated from the email address if absent. A username
    /// with an `@` is also the email address, and must equal `email` if both are given.
    pub(super) username: Option<Username>,
    /// Full name.
    pub(super) full_name: Option<FullName>,
    /// String pairs, at most 50 and 8 KiB in total.
    #[input(default)]
    #[schema(required = false)]
    pub(super) metadata: Metadata,
}

fn check_names(fields: &mut Fields<'_>, username: &Option<Username>, email: &Option<Email>) {
    if let Err(error) = Names::check(username.as_ref(), email.as_ref()) {
        fields.reject(if username.is_some() { "username" } else { "email" }, error);
    }
}

impl CreateUser {
    /// Returns the user that a request creates from the item at an index.
    pub(super) fn into_user(self, seed: &RequestSeed, index: usize) -> Result<User, Problem> {
        let Self { email, username, full_name, metadata } = self;
        // The names were checked with the input.
        let names = Names::new(username, email, &seed.suffix(index)).map_err(|error| Problem::internal(&error))?;
        Ok(NewUser { names, full_name, metadata }.create(seed, index))
    }
}

/// Creates a user and claims its username and email address.
#[utoipa::path(post, path = "/users", tag = "users", security(("apiKey" = ["manage"])), params(IdempotencyKey),
    request_body = CreateUser, responses((status = 201, body = UserBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the username or email address is taken; the problem document names the field")))]
pub async fn create_user(
    caller: Backend,
    State(users): State<Users>,
    seed: RequestSeed,
    Valid(body): Valid<CreateUser>,
) -> Result<Created<Revised<UserBody>>, Problem> {
    let user = body.into_user(&seed, 0)?;
    users.create(caller.environment, &user, &seed).await?;
    Ok(Created::at(format!("users/{}", user.user_id), super::revised(user)))
}
