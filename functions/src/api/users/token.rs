//! `GET, POST /users/{user}/token`. AWS calls: one DynamoDB read by id, or two by name; the signing
//! key is cached.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        names::UserRef,
        timestamp::Timestamp,
        user::{Status, TtlSeconds},
    },
    http::{Backend, Input, Json, NoStore, Path, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, users::Users},
    tokens::{Claims, Signer},
};
use utoipa::{IntoParams, ToSchema};

/// Options of the token.
#[derive(Debug, Input, IntoParams, ToSchema)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// Lifetime of the token, in seconds.
    #[input(default = TtlSeconds::MAX)]
    #[param(required = false)]
    #[schema(required = false)]
    ttl_seconds: TtlSeconds,
}

/// User token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// JWT, signed with ES256; sent as `Authorization: Bearer <token>`.
    token: String,
    /// Expiration time.
    expires_at: Timestamp,
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
    operation_id = "getToken", params(CreateToken),
    responses((status = 200, body = Token), (status = 403, description = "the user is disabled")))]
pub async fn create_token(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Valid(CreateToken { ttl_seconds }): Valid<CreateToken>,
) -> Result<NoStore<Json<Token>>, Problem> {
    let user = state.users.find(caller.environment, &user).await?.ok_or_else(|| Problem::not_found("user"))?;
    if user.status == Status::Disabled {
        return Err(Problem::forbidden("the user is disabled"));
    }
    let now = Timestamp::now();
    let claims = Claims::new(&state.issuer, caller.environment, &user, ttl_seconds, now);
    let token = state.signer.sign(&claims, now).await?;
    Ok(NoStore(Json(Token { token, expires_at: claims.expires_at() })))
}

/// Creates a token like `GET /users/{user}/token`, with the lifetime in the body.
#[utoipa::path(post, path = "/users/{user}/token", tag = "users", security(("apiKey" = ["manage"])),
    operation_id = "createToken", request_body = CreateToken,
    responses((status = 200, body = Token), (status = 403, description = "the user is disabled")))]
#[expect(dead_code, reason = "documents the second method of the handler")]
fn post_token() {}
