//! `GET, POST /users/{user}/token`. AWS calls: one DynamoDB read by id, or two by name; the signing
//! key is cached.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        access::{MAX_TOKEN_INTEGRATIONS, MAX_TOKEN_ORIGINS, TokenMode},
        integration::IntegrationId,
        modal::Origin,
        names::UserRef,
        timestamp::Timestamp,
        user::TtlSeconds,
    },
    http::{Backend, Fields, Input, Json, NoStore, Path, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, users::Users},
    tokens::{Claims, Limits, Signer},
};
use utoipa::{IntoParams, ToSchema};

/// Options of a token in a query.
#[derive(Debug, Input, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct GetToken {
    /// Lifetime of the token, in seconds.
    #[input(default = TtlSeconds::MAX)]
    #[param(required = false)]
    ttl_seconds: TtlSeconds,
}

/// Options of a token.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// Lifetime of the token, in seconds.
    #[input(default = TtlSeconds::MAX)]
    #[schema(required = false)]
    ttl_seconds: TtlSeconds,
    /// Permissions of the token.
    #[input(default)]
    #[schema(required = false, default = "manage")]
    mode: TokenMode,
    /// Only integrations that exist for the token, with their installations, workflows, errors and
    /// credentials; 1 to 20. They need not be in the catalogue.
    #[input(max = MAX_TOKEN_INTEGRATIONS, min = 1)]
    #[schema(min_items = 1, max_items = 20)]
    integrations: Option<Vec<IntegrationId>>,
    /// Origins of the pages that may embed the modal with the token, 1 to 5; by default those of
    /// the environment.
    #[input(max = MAX_TOKEN_ORIGINS, min = 1)]
    #[schema(min_items = 1, max_items = 5)]
    origins: Option<Vec<Origin>>,
}

/// Options of a token, in a query or a body.
#[derive(Debug)]
pub struct TokenOptions(CreateToken);

impl Input for TokenOptions {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        if !fields.is_query() {
            return CreateToken::read(fields).map(Self);
        }
        let GetToken { ttl_seconds } = GetToken::read(fields)?;
        Some(Self(CreateToken { ttl_seconds, mode: TokenMode::default(), integrations: None, origins: None }))
    }
}

/// User token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// JWT, signed with ES256; sent as `Authorization: Bearer <token>`.
    pub token: String,
    /// Expiration time.
    pub expires_at: Timestamp,
}

/// State of the function.
#[derive(Clone, FromAws)]
pub struct State {
    users: Users<ReadOnly>,
    signer: Signer,
    #[aws(setting = "TOKEN_ISSUER")]
    issuer: String,
}

/// Creates a short-lived token with which a web page calls the API for the user.
#[utoipa::path(get, path = "/users/{user}/token", tag = "users", security(("apiKey" = ["manage"])),
    operation_id = "getToken", params(GetToken),
    responses((status = 200, body = Token), (status = 403, description = "the user is disabled")))]
pub async fn create_token(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Valid(TokenOptions(options)): Valid<TokenOptions>,
) -> Result<NoStore<Json<Token>>, Problem> {
    let CreateToken { ttl_seconds, mode, integrations, origins } = options;
    let user = super::find_active(&state.users, caller.environment, &user).await?;
    let now = Timestamp::now();
    let limits = Limits { mode, integrations, origins, hosted: false };
    let claims = Claims::new(&state.issuer, caller.environment, &user, limits, ttl_seconds, now);
    let token = state.signer.sign(&claims, now).await?;
    Ok(NoStore(Json(Token { token, expires_at: claims.expires_at() })))
}

/// Creates a token like `GET /users/{user}/token`, with further options.
#[utoipa::path(post, path = "/users/{user}/token", tag = "users", security(("apiKey" = ["manage"])),
    operation_id = "createToken", request_body = CreateToken,
    responses((status = 200, body = Token), (status = 403, description = "the user is disabled")))]
#[expect(dead_code, reason = "documents the second method of the handler")]
fn post_token() {}
