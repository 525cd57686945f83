//! Callers: the checks that lead to 401 and 403.
//!
//! The authorizer determines the [`Identity`] of a caller, and API Gateway passes it to the
//! endpoint. The first argument of a handler names the callers that it admits. Resources of other
//! environments and users return 404: handlers build all keys from the caller's environment and
//! read as the user who calls, such as with
//! [`Users::find_as`](crate::store::users::Users::find_as).

use axum::extract::FromRequestParts;
use http::{Extensions, request::Parts};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{
    Problem,
    request::{gateway_context, route},
};
use crate::domain::{
    access::{Allowed, CallingUser, TokenMode},
    api_key::Scope,
    event::Actor,
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
        #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
        exp: i64,
        /// Permissions of the token.
        #[serde(default)]
        mode: TokenMode,
        /// Integrations that exist for the token.
        #[serde(default, skip_serializing_if = "Allowed::is_all")]
        allowed: Allowed,
    },
}

/// Writes a number of the authorizer context as a text: AWS documents no type of numbers for HTTP
/// APIs, and REST APIs convert them.
fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Reads a number that [`as_text`] has written.
fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl Identity {
    /// Returns scopes in the form of the authorizer context.
    pub fn scopes(scopes: &[Scope]) -> String {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Reads the identity from the context of API Gateway.
    ///
    /// Checks the `exp` of a token again, because API Gateway caches the authorizer's result beyond
    /// it.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Problem> {
        let context = gateway_context(extensions).ok_or_else(Problem::unauthorized)?;
        let fields = context.authorizer.as_ref().map(|authorizer| authorizer.fields.clone().into_iter().collect());
        let identity: Self = serde_json::from_value(serde_json::Value::Object(fields.unwrap_or_default()))
            .map_err(|_| Problem::unauthorized())?;
        match identity {
            Self::User { exp, .. } if exp <= Timestamp::now().seconds() => Err(Problem::unauthorized()),
            _ => Ok(identity),
        }
    }

    /// Returns the 403 of a caller that a route does not admit.
    fn not_admitted(&self, admitted: &str) -> Problem {
        let found = match self {
            Self::Key { scopes, .. } => {
                let scopes: Vec<_> = scopes.split(' ').map(|scope| format!("`{scope}`")).collect();
                format!("the key of the request has the scope {}", scopes.join(" and "))
            }
            Self::User { .. } => "the request has a user token".to_owned(),
        };
        Problem::forbidden(format!("{admitted} is required; {found}"))
    }

    /// Rejects a user token whose mode does not permit the route.
    fn check_mode(&self, route: &str) -> Result<(), Problem> {
        let needed = TokenMode::needed_for(route);
        match self {
            Self::User { mode, .. } if *mode < needed => Err(Problem::forbidden(format!(
                "a user token with the mode `{needed}`, or an API key with the scope `manage`, is required; the token \
                 of the request has the mode `{mode}`"
            ))),
            _ => Ok(()),
        }
    }
}

/// Caller in a handler's signature. [`serve`](super::serve()) accepts only handlers whose first
/// argument is a caller.
pub trait Caller: Sized {
    /// Returns the caller of a request. Others are rejected with 403, which names who is admitted.
    fn of(extensions: &Extensions) -> Result<Self, Problem>;
}

/// The customer's back end: an API key with the scope `manage`, or `read` on routes that only read.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// Caller, as the events of its changes name it.
    pub actor: Actor,
    /// Broadest scope of the key.
    pub scope: Scope,
}

/// The workflow engine: an API key with the scope `engine`.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// Id of the key, for logs.
    pub key: KeyId,
}

/// The workflow engine or the customer's back end: an API key with the scope `engine` or `manage`.
#[derive(Clone, Copy, Debug)]
pub struct EngineOrBackend {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// Caller, as the events of its changes name it.
    pub actor: Actor,
}

/// An end user: a user token.
#[derive(Clone, Debug)]
pub struct TokenUser {
    /// Environment of the user.
    pub environment: EnvironmentId,
    /// User.
    pub user: CallingUser,
}

/// The customer's back end, or a user, who can access only their own resources.
#[derive(Clone, Debug)]
pub struct BackendOrUser {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// Caller, as the events of its changes name it.
    pub actor: Actor,
    /// User, if the caller is one.
    pub user: Option<CallingUser>,
}

/// The customer's back end, the workflow engine, or a user, who can access only their own
/// resources.
#[derive(Clone, Debug)]
pub struct AnyCaller {
    /// Environment of the caller.
    pub environment: EnvironmentId,
    /// User, if the caller is one.
    pub user: Option<CallingUser>,
}

/// Implements callers by the identities that they admit to a route.
macro_rules! callers {
    (|$route:ident| $($type:ident ($admitted:literal) $($identity:pat $(if $condition:expr)? => $caller:expr),+;)*) => {$(
        impl Caller for $type {
            fn of(extensions: &Extensions) -> Result<Self, Problem> {
                let (identity, $route) = (Identity::of(extensions)?, route(extensions));
                let mode = identity.check_mode($route);
                let caller = match identity {
                    $($identity $(if $condition)? => $caller,)+
                    #[allow(unreachable_patterns, reason = "some admit everyone")]
                    other => return Err(other.not_admitted(&admitted($admitted, $route))),
                };
                mode.map(|()| caller)
            }
        }

        impl<S: Sync> FromRequestParts<S> for $type {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                Self::of(&parts.extensions)
            }
        }
    )*};
}

use Identity::{Key, User};

callers! { |route|
    Backend ("an API key with the scope `manage`")
        Key { environment, scopes, key_id } if is_backend(&scopes, route) => {
            let scope = [Scope::Manage, Scope::Engine].into_iter().find(|scope| has(&scopes, *scope));
            let scope = scope.unwrap_or(Scope::Read);
            Self { environment, actor: Actor::Key { key_id }, scope }
        };
    Engine ("an API key with the scope `engine`")
        Key { environment, key_id, scopes, .. } if has(&scopes, Scope::Engine) => Self { environment, key: key_id };
    EngineOrBackend ("an API key with the scope `engine` or `manage`")
        Key { environment, scopes, key_id } if has(&scopes, Scope::Engine) || is_backend(&scopes, route) =>
            Self { environment, actor: Actor::Key { key_id } };
    TokenUser ("a user token")
        User { environment, user_id, allowed, .. } => Self { environment, user: CallingUser { user_id, allowed } };
    BackendOrUser ("an API key with the scope `manage`, or a user token,")
        User { environment, user_id, allowed, .. } => Self {
            environment,
            actor: Actor::User { user_id },
            user: Some(CallingUser { user_id, allowed }),
        },
        Key { environment, scopes, key_id } if is_backend(&scopes, route) =>
            Self { environment, actor: Actor::Key { key_id }, user: None };
    AnyCaller ("an API key or a user token")
        User { environment, user_id, allowed, .. } =>
            Self { environment, user: Some(CallingUser { user_id, allowed }) },
        Key { environment, scopes, .. } if has(&scopes, Scope::Engine) || is_backend(&scopes, route) =>
            Self { environment, user: None };
}

/// Routes of a back end that issue tokens, although they are read with GET.
const ISSUING: [&str; 2] = ["GET /users/{user}/token", "GET /users/{user}/integrations/{integrationId}/install-url"];

/// Returns whether a reader may call a route.
pub fn only_reads(route: &str) -> bool {
    route.starts_with("GET ") && !ISSUING.contains(&route)
}

/// Returns whether a key counts as a back end on a route. That of a reader does where a back end
/// only reads.
fn is_backend(scopes: &str, route: &str) -> bool {
    has(scopes, Scope::Manage) || (has(scopes, Scope::Read) && only_reads(route))
}

/// Returns who is admitted to a route: readers too, where a back end only reads.
fn admitted(admitted: &str, route: &str) -> String {
    if only_reads(route) { admitted.replace("`manage`", "`manage` or `read`") } else { admitted.to_owned() }
}

fn has(scopes: &str, wanted: Scope) -> bool {
    scopes.split(' ').any(|scope| scope == wanted.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expiry_is_written_and_read_as_a_text() {
        let (environment, user) = (EnvironmentId::new(), UserId::new());
        let context = serde_json::to_value(Identity::User {
            environment,
            user_id: user,
            exp: 1_795_498_200,
            mode: TokenMode::default(),
            allowed: Allowed::default(),
        });
        let context = context.unwrap();
        assert_eq!(context["exp"], json!("1795498200"));
        assert!(matches!(
            serde_json::from_value(context.clone()),
            Ok(Identity::User { exp: 1_795_498_200, user_id, .. }) if user_id == user
        ));
        let mut malformed = context;
        malformed["exp"] = json!("soon");
        assert!(serde_json::from_value::<Identity>(malformed).is_err());
    }
}
