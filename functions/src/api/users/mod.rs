//! Users and their tokens.

use serde::Serialize;
use tenon::{
    domain::{
        access::CallingUser,
        id::{EnvironmentId, UserId},
        names::{Email, UserRef, Username},
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{FullName, Metadata, User, UserStatus},
    },
    http::{OrNotFound, Problem, Revised},
    start::FromAws,
    store::{Access, events::Outbox, users::Users},
};
use utoipa::{OpenApi, ToSchema};

pub mod batch;
pub mod create;
pub mod delete;
pub mod erase_logs;
pub mod get;
pub mod list;
pub mod status;
pub mod token;
pub mod update;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    create::create_user,
    batch::create_users,
    list::list_users,
    get::get_user,
    update::update_user,
    update::patch_user,
    delete::delete_user,
    status::set_status,
    status::enable_user,
    token::create_token,
    token::post_token,
    erase_logs::erase_logs,
))]
pub struct Operations;

/// State of the functions whose changes have events.
#[derive(Clone, Debug, FromAws)]
pub struct ChangeState {
    users: Users,
    outbox: Outbox,
}

/// Returns the user of a path, if the caller may access it; otherwise 404.
pub(crate) async fn find<A: Access>(
    users: &Users<A>,
    environment: EnvironmentId,
    caller: Option<&CallingUser>,
    user: &UserRef,
) -> Result<User, Problem> {
    let found = users.find_as(environment, caller, user).await?.or_not_found("user")?;
    refuse_disabled(caller, &found)?;
    Ok(found)
}

/// Refuses a caller that is a disabled user: API Gateway caches for 30 seconds that its token was
/// valid.
pub(crate) fn refuse_disabled(caller: Option<&CallingUser>, user: &User) -> Result<(), Problem> {
    match user.status {
        UserStatus::Disabled if caller.is_some() => Err(Problem::unauthorized()),
        _ => Ok(()),
    }
}

/// Returns the user that a request names like [`find`], as the owner of what the request creates. A
/// repeated request does not find a user who was created after its first attempt: it has the name
/// of another one since.
pub(crate) async fn find_owner<A: Access>(
    users: &Users<A>,
    environment: EnvironmentId,
    user: &UserRef,
    seed: &RequestSeed,
) -> Result<User, Problem> {
    let found = find(users, environment, None, user).await?;
    if seed.is_retry && found.created_at > seed.at { Err(Problem::not_found("user")) } else { Ok(found) }
}

/// Returns the user of a path like [`find`] for a back end that issues a token or a link; 403 if
/// the user is disabled.
pub(crate) async fn find_active<A: Access>(
    users: &Users<A>,
    environment: EnvironmentId,
    user: &UserRef,
) -> Result<User, Problem> {
    let found = find(users, environment, None, user).await?;
    match found.status {
        UserStatus::Active => Ok(found),
        UserStatus::Disabled => Err(Problem::user_disabled()),
    }
}

/// Returns the response with a user, and the ETag of its revision.
fn revised(user: User) -> Revised<UserBody> {
    Revised::new(revision(&user), user.into())
}

/// Returns the revision of a user. It contains the id, because a name of a user can later be that
/// of another.
fn revision(user: &User) -> String {
    format!("{}.{}", user.user_id, user.version)
}

/// User as the API returns it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserBody {
    /// Id of the user; never changes.
    pub user_id: UserId,
    /// Username, unique in the environment.
    pub username: Username,
    /// Email address, unique in the environment.
    #[schema(required = true)]
    pub email: Option<Email>,
    /// Full name.
    #[schema(required = true)]
    pub full_name: Option<FullName>,
    /// String pairs that the customer defines.
    pub metadata: Metadata,
    /// Status of the user.
    pub status: UserStatus,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let User {
            user_id,
            username,
            email,
            full_name,
            metadata,
            status,
            token_epoch: _,
            version: _,
            created_at,
            updated_at,
        } = user;
        Self { user_id, username, email, full_name, metadata, status, created_at, updated_at }
    }
}
