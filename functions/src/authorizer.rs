//! Lambda authorizer for API keys and user tokens. API Gateway caches its result for 30 seconds.
//! AWS calls: one DynamoDB read of the key or of the user of the token, and one write when a
//! process first sees a key on a day; none for credentials that do not have the form of a key or a
//! token.

use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use tenon::{
    domain::{
        access::Allowed,
        api_key::{ApiKey, ApiKeyError},
        timestamp::Timestamp,
        user::UserStatus,
    },
    http::Identity,
    logs::ErrorChain,
    start::FromAws,
    store::{
        ReadOnly, StoreError,
        api_keys::{ApiKeys, LastUsedTracker},
        users::Users,
    },
    tokens::{TokenError, Verifier, VerifyError},
};
use tracing::Instrument;

/// Request of a Lambda authorizer, payload format 2.0. The other members are not read: callers
/// control them, and any content must authorize.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerRequest {
    /// Values of the identity sources: the `Authorization` header.
    identity_source: Option<Vec<String>>,
    request_context: Option<RequestContext>,
}

/// Part of a request that API Gateway itself writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    /// Id that the client receives as `apigw-requestid`.
    request_id: Option<String>,
}

/// Simple response of a Lambda authorizer, payload format 2.0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerResponse {
    is_authorized: bool,
    /// Identity of the caller, which the endpoints receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Identity>,
}

/// State of the function, which also reads the public keys.
#[derive(Clone, FromAws)]
pub struct Authorizer {
    keys: ApiKeys,
    last_used: LastUsedTracker,
    users: Users<ReadOnly>,
    verifier: Verifier,
}

/// Reason for denying access. It is logged and never returned to the caller.
#[derive(Debug, thiserror::Error)]
enum DenialReason {
    #[error("the header does not have the form `Bearer <key or token>`")]
    Scheme,
    #[error(transparent)]
    KeyForm(#[from] ApiKeyError),
    #[error("unknown or revoked key")]
    UnknownKey,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the user of the token was deleted")]
    UserDeleted,
    #[error("the user of the token is disabled")]
    UserDisabled,
    #[error("the token was issued before its user was disabled")]
    StaleEpoch,
}

/// Outcome of a failed authorization. When AWS does not respond, the caller is unknown: API Gateway
/// then returns 500 and caches no result.
#[derive(Debug, thiserror::Error)]
enum AuthError {
    #[error(transparent)]
    Denied(#[from] DenialReason),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to read the public keys")]
    Keys(#[source] StoreError),
}

/// Authenticates the caller of a request.
pub async fn authorize(authorizer: Authorizer, request: AuthorizerRequest) -> Result<AuthorizerResponse, Diagnostic> {
    let header = request.identity_source.unwrap_or_default().into_iter().next().unwrap_or_default();
    let id = request.request_context.and_then(|context| context.request_id);
    let span = tracing::info_span!("request", gateway_request_id = id);
    match authorizer.identify(&header).instrument(span.clone()).await {
        Ok(identity) => {
            tracing::info!(parent: &span, ?identity, "request authorized");
            Ok(AuthorizerResponse { is_authorized: true, context: Some(identity) })
        }
        Err(AuthError::Denied(reason)) => {
            tracing::info!(parent: &span, reason = %ErrorChain(&reason), "request denied");
            Ok(AuthorizerResponse { is_authorized: false, context: None })
        }
        Err(error @ (AuthError::Store(_) | AuthError::Keys(_))) => {
            tracing::error!(parent: &span, error = %ErrorChain(&error), "authorization lookup failed");
            Err(Diagnostic {
                error_type: "AuthorizationLookupFailed".into(),
                error_message: "authorization lookup failed".into(),
            })
        }
    }
}

impl Authorizer {
    async fn identify(&self, header: &str) -> Result<Identity, AuthError> {
        let (scheme, credential) = header.split_once(' ').ok_or(DenialReason::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(DenialReason::Scheme.into());
        }
        let credential = credential.trim();
        match credential.parse::<ApiKey>() {
            Ok(key) => self.identify_key(&key).await,
            // A JWT always contains a dot and a key never does, so each gets a specific reason.
            Err(ApiKeyError::Prefix) if credential.contains('.') => self.identify_token(credential).await,
            Err(error) => Err(DenialReason::from(error).into()),
        }
    }

    async fn identify_key(&self, key: &ApiKey) -> Result<Identity, AuthError> {
        let grant = self.keys.find(&key.hash()).await?.ok_or(DenialReason::UnknownKey)?;
        self.last_used.record(&grant, Timestamp::now()).await;
        let scopes = Identity::scopes(&grant.scopes);
        Ok(Identity::Key { environment: grant.environment_id, key_id: grant.key_id, scopes })
    }

    async fn identify_token(&self, token: &str) -> Result<Identity, AuthError> {
        let claims = self.verifier.verify(token, Timestamp::now()).await.map_err(|error| match error {
            VerifyError::Refused(reason) => AuthError::Denied(reason.into()),
            VerifyError::Store(error) => AuthError::Keys(error),
        })?;
        let user = self.users.get(claims.env, claims.sub).await?.ok_or(DenialReason::UserDeleted)?;
        if user.status == UserStatus::Disabled {
            return Err(DenialReason::UserDisabled.into());
        }
        if user.token_epoch != claims.epoch {
            return Err(DenialReason::StaleEpoch.into());
        }
        let allowed = Allowed::only(claims.integrations);
        Ok(Identity::User { environment: claims.env, user_id: claims.sub, exp: claims.exp, mode: claims.mode, allowed })
    }
}
