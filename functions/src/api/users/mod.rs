//! Users, and their tokens.

use serde::Serialize;
use tenon::domain::{
    id::UserId,
    names::{Email, Username},
    timestamp::Timestamp,
    user::{FullName, Metadata, Status, User},
};
use utoipa::ToSchema;

pub mod batch;
pub mod create;
pub mod delete;
pub mod erase_logs;
pub mod get;
pub mod list;
pub mod status;
pub mod token;
pub mod update;

/// A user as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserBody {
    /// Its id, which never changes.
    pub user_id: UserId,
    /// Its name, unique in the environment.
    pub username: Username,
    /// Its e-mail address, unique in the environment.
    #[schema(required = true)]
    pub email: Option<Email>,
    /// A name for people.
    #[schema(required = true)]
    pub full_name: Option<FullName>,
    /// What the customer wants to remember.
    pub metadata: Metadata,
    /// Whether it may be used.
    pub status: Status,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
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
