//! `GET /users/{user}/integrations/{integrationId}/install-url`. AWS calls: one DynamoDB read of
//! the user by id, or two by name; one read of the integration and one write.

use axum::extract;
use serde::Serialize;
use tenon::{
    domain::{
        integration::IntegrationId,
        names::UserRef,
        ticket::{TICKET_LIFETIME, Ticket, TicketGrant},
        timestamp::Timestamp,
    },
    http::{ApiUrl, Backend, Json, NoInput, NoStore, OrNotFound, Path, Problem},
    start::FromAws,
    store::{ReadOnly, integrations::Integrations, tickets::Tickets, users::Users},
};
use utoipa::ToSchema;

use crate::api::users;

/// Install link.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallLink {
    /// URL of a page on which the user installs the integration. It works once, and needs no login:
    /// send it to the user only.
    url: String,
    /// Time until which the link can be used.
    expires_at: Timestamp,
}

/// State of the function.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    users: Users<ReadOnly>,
    integrations: Integrations<ReadOnly>,
    tickets: Tickets,
    #[aws(setting = "PUBLIC_URL")]
    public_url: String,
}

/// Creates a link with which a user installs an integration, for e-mails and mobile apps.
#[utoipa::path(get, path = "/users/{user}/integrations/{integrationId}/install-url", tag = "integrations",
    security(("apiKey" = ["manage"])),
    responses((status = 200, body = InstallLink), (status = 403, description = "the user is disabled"),
        (status = 409, description = "the integration is disabled")))]
pub async fn create_install_url(
    caller: Backend,
    extract::State(state): extract::State<State>,
    Path(user): Path<UserRef>,
    Path(id): Path<IntegrationId>,
    ApiUrl(api): ApiUrl,
    _: NoInput,
) -> Result<NoStore<Json<InstallLink>>, Problem> {
    let user = users::find_active(&state.users, caller.environment, &user).await?;
    let integration = state.integrations.get(caller.environment, &id).await?;
    if !integration.or_not_found("integration")?.content.enabled {
        return Err(Problem::integration_disabled());
    }
    let (ticket, expires_at) = (Ticket::generate(), Timestamp::now() + TICKET_LIFETIME);
    let grant = TicketGrant {
        environment_id: caller.environment,
        user_id: user.user_id,
        token_epoch: user.token_epoch,
        integration_id: id,
        valid_until: expires_at,
    };
    state.tickets.create(&ticket.hash(), &grant).await?;
    let base = if state.public_url.is_empty() { &api } else { &state.public_url };
    // Browsers do not send the part after `#`, so the ticket is in no log of a server.
    let url = format!("{base}/modal#ticket={}", ticket.expose());
    Ok(NoStore(Json(InstallLink { url, expires_at })))
}
