//! `POST /tickets`. AWS calls: three DynamoDB reads (ticket, user and integration) and one
//! transaction; the signing key is cached.

use axum::extract;
use tenon::{
    domain::{
        access::TokenMode,
        ticket::{Ticket, TicketGrant},
        timestamp::Timestamp,
        user::{TtlSeconds, User, UserStatus},
    },
    http::{Input, Json, NoStore, Problem, Valid},
    start::FromAws,
    store::{ReadOnly, integrations::Integrations, tickets::Tickets, users::Users},
    tokens::{Claims, Limits, Signer},
};
use utoipa::{OpenApi, ToSchema};

use crate::api::users::token::Token;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(exchange_ticket))]
pub struct Operations;

/// Ticket of an install link.
#[derive(Debug, Input, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeTicket {
    /// Ticket.
    ticket: Ticket,
}

/// State of the function.
#[derive(Clone, FromAws)]
pub struct State {
    tickets: Tickets,
    users: Users<ReadOnly>,
    integrations: Integrations<ReadOnly>,
    signer: Signer,
    #[aws(setting = "TOKEN_ISSUER")]
    issuer: String,
}

/// Exchanges the ticket of an install link, once, for a token with which its user installs the
/// integration.
#[utoipa::path(post, path = "/tickets", tag = "session", security(()), request_body = ExchangeTicket,
    responses((status = 200, body = Token),
        (status = 410, description = "the ticket is unknown, used or expired, or its user or integration is disabled or deleted"),
        (status = 422, description = "the ticket is malformed")))]
pub async fn exchange_ticket(
    extract::State(state): extract::State<State>,
    Valid(ExchangeTicket { ticket }): Valid<ExchangeTicket>,
) -> Result<NoStore<Json<Token>>, Problem> {
    let (hash, now) = (ticket.hash(), Timestamp::now());
    let grant = state.tickets.get(&hash).await?.filter(|grant| now < grant.valid_until);
    let TicketGrant { environment_id, user_id, token_epoch, integration_id, .. } = grant.ok_or_else(gone)?;
    // A ticket ends like the tokens of its time: when its user is disabled.
    let valid = |user: &User| user.status == UserStatus::Active && user.token_epoch == token_epoch;
    let user = state.users.get(environment_id, user_id).await?.filter(valid).ok_or_else(gone)?;
    let integration = state.integrations.get(environment_id, &integration_id).await?;
    if !integration.is_some_and(|integration| integration.content.enabled) {
        return Err(gone());
    }
    let integrations = Some(vec![integration_id]);
    let limits = Limits { mode: TokenMode::Install, integrations, origins: None, hosted: true };
    let claims = Claims::new(&state.issuer, environment_id, &user, limits, TtlSeconds::MAX, now);
    let token = state.signer.sign(&claims, now).await?;
    // Last, so that no failure uses up the ticket without a token.
    if !state.tickets.redeem(&hash).await? {
        return Err(gone());
    }
    Ok(NoStore(Json(Token { token, expires_at: claims.expires_at() })))
}

fn gone() -> Problem {
    Problem::gone(
        "the ticket was used, has expired or does not exist, or its user or integration is disabled; ask for a new link",
    )
}
