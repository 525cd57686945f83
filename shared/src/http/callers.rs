//! Callers: the checks that lead to 401 and 403.
//!
//! The authorizer determines the [`Identity`] of a caller, and API Gateway passes it to the
//! endpoint. The first argument of a handler names the callers that it admits. Resources of other
//! environments and users return 404: handlers build all keys from the caller's environment and
//! check ownership with [`BackendOrUser::can_access`].

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

/// Identity of a caller, as passed from the authorizer in the context of API Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "principal", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Identity {
    /// The request has a valid API key.
    Key {
        /// Environment of the key.
        environment: EnvironmentId,
        /// Id of the key, for logs.
        key_id: KeyId,
        /// Scopes of the key, separated by spaces.
        scopes: String,
    },
    /// The request has a valid user token.
    User {
        /// Environment of the user.
        environment: EnvironmentId,
        /// User id.
        user_id: UserId,
        /// Expiry of the token, in seconds since 1970.
        exp: i64,
    },
}

impl Identity {
    /// Returns scopes in the form of the authorizer context.
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

    /// Reads the identity from the context of API Gateway.
    ///
    /// Checks the `exp` of a token again, because API Gateway caches the authorizer's result beyond
    /// it.
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

/// Caller in a handler's signature. [`serve`](super::serve()) accepts only handlers whose first
/// argument is a caller.
pub trait Caller {}

/// The customer's back end: an API key with the scope `manage`.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Environment of the caller.
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

/// The workflow engine or the customer's back end: an API key with the scope `engine` or `manage`.
#[derive(Clone, Copy, Debug)]
pub struct EngineOrBackend {
    /// Environment of the caller.
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

/// An end user: a user token.
#[derive(Clone, Copy, Debug)]
pub struct TokenUser {
    /// Environment of the user.
    pub environment: EnvironmentId,
    /// User id.
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

/// The customer's back end, or a user, who can access only their own resources.
#[derive(Clone, Copy, Debug)]
pub struct BackendOrUser {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// User id, if the caller is a user.
    pub user: Option<UserId>,
}

impl BackendOrUser {
    /// Returns whether the caller may access resources of this user. If not, handlers return 404.
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

/// The workflow engine: an API key with the scope `engine`.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// Id of the key, for logs.
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

/// The customer's back end, the workflow engine, or a user, who can access only their own
/// resources.
#[derive(Clone, Copy, Debug)]
pub struct AnyCaller {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// User id, if the caller is a user.
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
