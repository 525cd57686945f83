//! The Lambda authorizer: one answer for API keys and user tokens, which API Gateway keeps for 30 seconds. AWS calls: one
//! DynamoDB read of the key or of the token's user, and a write when a process first sees a key on a day; none for what is
//! not of a key's or token's form.

use aws_config::SdkConfig;
use aws_lambda_events::event::apigw::ApiGatewayV2CustomAuthorizerV2Request;
use lambda_runtime::Diagnostic;
use serde::Serialize;
use tenon::{
    aws::setting,
    domain::{
        api_key::{ApiKey, ApiKeyError},
        timestamp::Timestamp,
        user::Status,
    },
    http::{Identity, StartError},
    logs::ErrorChain,
    store::{
        StoreError, Table,
        api_keys::{ApiKeys, LastUsedTracker},
        signing_keys::SigningKeys,
        users::Users,
    },
    tokens::{TokenError, Verifier, VerifyError},
};

/// A simple response of a Lambda authorizer, payload format 2.0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizerResponse {
    is_authorized: bool,
    /// What the endpoints are told of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Identity>,
}

/// What the function is given.
#[derive(Clone)]
pub struct Authorizer {
    keys: ApiKeys,
    last_used: LastUsedTracker,
    users: Users,
    verifier: Verifier,
}

/// Reads the public keys, which also opens the connection to DynamoDB.
pub async fn state(config: &SdkConfig) -> Result<Authorizer, StartError> {
    let directory = Table::directory(config, 1).await?;
    let verifier = Verifier::load(SigningKeys(directory.clone()), setting("TOKEN_ISSUER")?).await;
    let keys = ApiKeys(directory.clone());
    Ok(Authorizer { last_used: LastUsedTracker::new(keys.clone()), keys, users: Users(directory), verifier })
}

/// Why a caller is refused. It is logged and not told.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the header is not `Bearer` and a key or token")]
    Scheme,
    #[error(transparent)]
    KeyForm(#[from] ApiKeyError),
    #[error("there is no such key")]
    UnknownKey,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the token's user is deleted")]
    UserDeleted,
    #[error("the token's user is disabled")]
    UserDisabled,
    #[error("the token is of an epoch that has ended")]
    StaleEpoch,
}

/// Nothing is known about the caller, because AWS did not answer: API Gateway answers 500 and keeps no verdict.
#[derive(Debug, thiserror::Error)]
enum AuthError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the public keys cannot be read")]
    Keys(#[source] StoreError),
}

/// Decides who is calling.
pub async fn authorize(
    authorizer: Authorizer,
    request: ApiGatewayV2CustomAuthorizerV2Request,
) -> Result<AuthorizerResponse, Diagnostic> {
    let header = request.identity_source.unwrap_or_default().into_iter().next().unwrap_or_default();
    match authorizer.identify(&header).await {
        Ok(identity) => {
            tracing::info!(?identity, "authorized");
            Ok(AuthorizerResponse { is_authorized: true, context: Some(identity) })
        }
        Err(AuthError::Refused(reason)) => {
            tracing::info!(reason = %ErrorChain(&reason), "refused");
            Ok(AuthorizerResponse { is_authorized: false, context: None })
        }
        Err(error @ (AuthError::Store(_) | AuthError::Keys(_))) => {
            tracing::error!(error = %ErrorChain(&error), "authorization lookup failed");
            Err(Diagnostic {
                error_type: "AuthorizationLookupFailed".into(),
                error_message: "the caller could not be looked up".into(),
            })
        }
    }
}

impl Authorizer {
    async fn identify(&self, header: &str) -> Result<Identity, AuthError> {
        let (scheme, credential) = header.split_once(' ').ok_or(Refusal::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::Scheme.into());
        }
        let credential = credential.trim();
        match credential.parse::<ApiKey>() {
            Ok(key) => self.identify_key(&key).await,
            // A JWT always has a dot and a key never does, so that each gets the reason that helps.
            Err(ApiKeyError::Prefix) if credential.contains('.') => self.identify_token(credential).await,
            Err(error) => Err(Refusal::from(error).into()),
        }
    }

    async fn identify_key(&self, key: &ApiKey) -> Result<Identity, AuthError> {
        let grant = self.keys.find(&key.hash()).await?.ok_or(Refusal::UnknownKey)?;
        self.last_used.record(&grant, Timestamp::now()).await;
        let scopes = Identity::scopes(&grant.scopes);
        Ok(Identity::Key { environment: grant.environment_id, key_id: grant.key_id, scopes })
    }

    async fn identify_token(&self, token: &str) -> Result<Identity, AuthError> {
        let claims = self.verifier.verify(token, Timestamp::now()).await.map_err(|error| match error {
            VerifyError::Refused(reason) => AuthError::Refused(reason.into()),
            VerifyError::Store(error) => AuthError::Keys(error),
        })?;
        let user = self.users.get(claims.env, claims.sub).await?.ok_or(Refusal::UserDeleted)?;
        if user.status == Status::Disabled {
            return Err(Refusal::UserDisabled.into());
        }
        if user.token_epoch != claims.epoch {
            return Err(Refusal::StaleEpoch.into());
        }
        Ok(Identity::User { environment: claims.env, user_id: claims.sub, exp: claims.exp })
    }
}
