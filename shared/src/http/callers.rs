//! Who is calling: the one place for the rules of 401 and 403.
//!
//! The authorizer finds the [`Identity`], API Gateway passes it on, and a handler names the caller it admits as the first
//! argument of its signature. What belongs to another environment or another user is 404, which the handlers get from
//! keys that are built from the caller's own environment and from [`BackendOrUser::can_access`].

use axum::extract::FromRequestParts;
use http::{Extensions, request::Parts};
use lambda_http::{RequestExt, request::RequestContext};
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::domain::{
    api_key::Scope,
    id::{EnvironmentId, KeyId, UserId},
    timestamp::Timestamp,
};

/// Who is calling, as the authorizer tells the endpoints through API Gateway's context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "principal", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Identity {
    /// The holder of an API key.
    Key {
        /// The key's environment.
        environment: EnvironmentId,
        /// Which key it is, for the logs.
        key_id: KeyId,
        /// What the key may do, separated by spaces.
        scopes: String,
    },
    /// The holder of a user token.
    User {
        /// The user's environment.
        environment: EnvironmentId,
        /// The user.
        user_id: UserId,
        /// Until when the token works, in seconds since 1970.
        exp: i64,
    },
}

impl Identity {
    /// The scopes of a key as the context carries them.
    pub fn scopes(scopes: &[Scope]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn has(&self, wanted: Scope) -> bool {
        match self {
            Self::Key { scopes, .. } => scopes.split(' ').any(|scope| scope == wanted.as_str()),
            Self::User { .. } => false,
        }
    }

    fn environment(&self) -> EnvironmentId {
        match self {
            Self::Key { environment, .. } | Self::User { environment, .. } => *environment,
        }
    }

    /// From API Gateway's context; a token is held to its `exp` again, since API Gateway keeps verdicts for a while.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Problem> {
        let Some(RequestContext::ApiGatewayV2(context)) = extensions.request_context_ref() else {
            return Err(Problem::unauthorized());
        };
        let fields = context.authorizer.as_ref().map(|authorizer| authorizer.fields.clone().into_iter().collect());
        let identity: Self = serde_json::from_value(serde_json::Value::Object(fields.unwrap_or_default()))
            .map_err(|_| Problem::unauthorized())?;
        match identity {
            Self::User { exp, .. } if exp <= Timestamp::now().seconds() => Err(Problem::unauthorized()),
            _ => Ok(identity),
        }
    }
}

/// A caller in a handler's signature. Nothing is served whose signature does not begin with one.
pub trait Caller {}

/// The customer's back end: a key with the scope `manage`.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// The caller's environment.
    pub environment: EnvironmentId,
}

impl Caller for Backend {}

impl<S: Sync> FromRequestParts<S> for Backend {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = Identity::of(&parts.extensions)?;
        if !identity.has(Scope::Manage) {
            return Err(Problem::forbidden("an API key with the scope `manage` is required"));
        }
        Ok(Self { environment: identity.environment() })
    }
}

/// The workflow engine or the customer's back end: any key.
#[derive(Clone, Copy, Debug)]
pub struct EngineOrBackend {
    /// The caller's environment.
    pub environment: EnvironmentId,
}

impl Caller for EngineOrBackend {}

impl<S: Sync> FromRequestParts<S> for EngineOrBackend {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = Identity::of(&parts.extensions)?;
        if !identity.has(Scope::Engine) && !identity.has(Scope::Manage) {
            return Err(Problem::forbidden("an API key with the scope `engine` or `manage` is required"));
        }
        Ok(Self { environment: identity.environment() })
    }
}

/// A user, by its token.
#[derive(Clone, Copy, Debug)]
pub struct TokenUser {
    /// The user's environment.
    pub environment: EnvironmentId,
    /// The user.
    pub user: UserId,
}

impl Caller for TokenUser {}

impl<S: Sync> FromRequestParts<S> for TokenUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Identity::of(&parts.extensions)? {
            Identity::User { environment, user_id, .. } => Ok(Self { environment, user: user_id }),
            Identity::Key { .. } => Err(Problem::forbidden("a user token is required")),
        }
    }
}

/// The customer's back end, or a user that sees only what is its own.
#[derive(Clone, Copy, Debug)]
pub struct BackendOrUser {
    /// The caller's environment.
    pub environment: EnvironmentId,
    /// The user, where a user is calling.
    pub user: Option<UserId>,
}

impl BackendOrUser {
    /// Whether what belongs to this user may be seen. What may not is answered like what is not there.
    pub fn can_access(&self, owner: UserId) -> bool {
        self.user.is_none_or(|user| user == owner)
    }
}

impl Caller for BackendOrUser {}

impl<S: Sync> FromRequestParts<S> for BackendOrUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = Identity::of(&parts.extensions)?;
        let environment = identity.environment();
        match identity {
            Identity::User { user_id, .. } => Ok(Self { environment, user: Some(user_id) }),
            Identity::Key { .. } if identity.has(Scope::Manage) => Ok(Self { environment, user: None }),
            Identity::Key { .. } => {
                Err(Problem::forbidden("an API key with the scope `manage`, or a user token, is required"))
            }
        }
    }
}

/// The workflow engine: a key with the scope `engine`.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// The caller's environment.
    pub environment: EnvironmentId,
    /// Which key it is, for the logs.
    pub key: KeyId,
}

impl Caller for Engine {}

impl<S: Sync> FromRequestParts<S> for Engine {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Identity::of(&parts.extensions)? {
            identity @ Identity::Key { environment, key_id, .. } if identity.has(Scope::Engine) => {
                Ok(Self { environment, key: key_id })
            }
            _ => Err(Problem::forbidden("an API key with the scope `engine` is required")),
        }
    }
}

/// The customer's back end, the workflow engine, or a user that sees only what is its own.
#[derive(Clone, Copy, Debug)]
pub struct AnyCaller {
    /// The caller's environment.
    pub environment: EnvironmentId,
    /// The user, where a user is calling.
    pub user: Option<UserId>,
}

impl Caller for AnyCaller {}

impl<S: Sync> FromRequestParts<S> for AnyCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = Identity::of(&parts.extensions)?;
        let environment = identity.environment();
        match identity {
            Identity::User { user_id, .. } => Ok(Self { environment, user: Some(user_id) }),
            Identity::Key { .. } => Ok(Self { environment, user: None }),
        }
    }
}
