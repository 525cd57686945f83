//! `POST /users`. AWS calls: one DynamoDB transaction; two writes more with an Idempotency-Key.

use aws_config::SdkConfig;
use axum::extract::State;
use tenon::{
    domain::{
        names::{Email, Names, Username},
        request_seed::RequestSeed,
        user::{FullName, Metadata, NewUser},
    },
    http::{Backend, Created, Fields, Input, Problem, ProblemDocument, StartError, Valid},
    store::{Table, users::Users},
};
use utoipa::ToSchema;

use super::UserBody;

/// What is needed to create a user: an `email`, a `username`, or both.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreateUser {
    /// Unique in the environment.
    pub(super) email: Option<Email>,
    /// Unique in the environment; made from the e-mail address where there is none. One with an `@` counts as the
    /// e-mail too, and must equal it where both are given.
    pub(super) username: Option<Username>,
    /// A name for people.
    pub(super) full_name: Option<FullName>,
    /// At most 50 string pairs of 8 KiB in all.
    #[schema(required = false)]
    pub(super) metadata: Metadata,
}

impl Input for CreateUser {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let email = fields.optional("email");
        let username = fields.optional("username");
        let full_name = fields.optional("fullName");
        let metadata = fields.optional("metadata");
        if let (Some(email), Some(username)) = (&email, &username)
            && let Err(error) = Names::check(username.as_ref(), email.as_ref())
        {
            fields.reject(if username.is_some() { "username" } else { "email" }, error);
        }
        Some(Self {
            email: email?,
            username: username?,
            full_name: full_name?,
            metadata: metadata?.unwrap_or_default(),
        })
    }
}

/// The store that the function is given.
pub async fn state(config: &SdkConfig) -> Result<Users, StartError> {
    Ok(Users(Table::directory(config, 1).await?))
}

/// Creates a user and claims its username and e-mail address.
#[utoipa::path(post, path = "/users", tag = "users", security(("apiKey" = ["manage"])), params(("Idempotency-Key" = Option<String>, Header, description = "by which a repeat gets the first answer again")), request_body = CreateUser, responses(
    (status = 201, body = UserBody, headers(("Location", description = "where the user is found"))),
    (status = 409, body = ProblemDocument, description = "names the field that is taken"),
    (status = 422, body = ProblemDocument),
))]
pub async fn create_user(
    caller: Backend,
    State(users): State<Users>,
    seed: RequestSeed,
    Valid(body): Valid<CreateUser>,
) -> Result<Created<UserBody>, Problem> {
    let CreateUser { email, username, full_name, metadata } = body;
    let names = Names::new(username, email, &seed.suffix(0)).map_err(|error| Problem::internal(&error))?;
    let user = NewUser { names, full_name, metadata }.create(&seed, 0);
    users.create(caller.environment, &user).await?;
    Ok(Created::at(format!("users/{}", user.user_id), user.into()))
}
