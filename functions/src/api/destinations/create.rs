//! `POST /destinations`. AWS calls: for each user that a filter names by a name one DynamoDB read, one of KMS, for a
//! bus two to it, and one DynamoDB transaction; two writes and one of KMS more with an Idempotency-Key.

use axum::extract::State;
use tenon::{
    delivery::{
        eventbridge::{check_connection, seal_credentials},
        webhook::{new_secret, open_secret, seal_secret},
    },
    domain::{
        delivery::Route,
        destination::{
            AwsCredentials, BusName, Destination, EventBridge, Region, Target, Verification, least_privilege_policy,
        },
        health::Health,
        request_seed::RequestSeed,
        secret::Secret,
        text::Text,
        webhook::{Webhook, WebhookUrl},
    },
    http::{Backend, Created, Fields, FromJson, Input, Location, NoStore, Problem, ProblemDocument, Valid},
};
use utoipa::ToSchema;

pub use super::connection_state as state;
use super::{ConnectionState, DestinationWithSecret, filter::NewFilter};

/// What is needed to create a destination. A webhook needs a `url`; a bus its `region`, `eventBusName` and `credentials`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes for the document what NewDestination reads")]
struct CreateDestination {
    /// By which means.
    #[schema(rename = "type")]
    kind: DestinationType,
    /// Of a webhook: where errors are posted to.
    url: Option<WebhookUrl>,
    /// Of a webhook: what you call it.
    description: Option<Text<256>>,
    /// Of a bus: its region.
    region: Option<Region>,
    /// Of a bus: its name or ARN.
    event_bus_name: Option<BusName>,
    /// Of a bus: keys that may put events on it. They are encrypted and never shown again.
    credentials: Option<AwsCredentials>,
    /// Whether errors are sent.
    #[schema(default = true, required = false)]
    enabled: bool,
    /// The errors to which it is limited.
    filter: Option<NewFilter>,
}

/// A destination before it is saved.
#[derive(Debug)]
pub struct NewDestination {
    target: NewTarget,
    enabled: bool,
    filter: NewFilter,
}

/// What is particular to a type of destination, before it is saved.
#[derive(Debug)]
enum NewTarget {
    EventBridge { region: Region, event_bus_name: BusName, credentials: AwsCredentials },
    Webhook { url: WebhookUrl, description: Option<Text<256>> },
}

/// A type of destination.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum DestinationType {
    /// A customer's own Amazon EventBridge bus.
    EventBridge,
    /// A customer's own HTTP endpoint.
    Webhook,
}

impl FromJson for DestinationType {
    fn from_json(value: &serde_json::Value, location: &mut Location<'_>) -> Option<Self> {
        match value.as_str() {
            Some("eventbridge") => Some(Self::EventBridge),
            Some("webhook") => Some(Self::Webhook),
            _ => location.reject("must be `eventbridge` or `webhook`"),
        }
    }
}

impl Input for NewDestination {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let target = match fields.required("type") {
            Some(DestinationType::EventBridge) => {
                let region = fields.required("region");
                let event_bus_name = fields.required("eventBusName");
                let credentials = fields.required("credentials");
                if let (Some(region), Some(bus)) = (&region, &event_bus_name) {
                    check_region(region, bus, fields);
                }
                region.zip(event_bus_name).zip(credentials).map(|((region, event_bus_name), credentials)| {
                    NewTarget::EventBridge { region, event_bus_name, credentials }
                })
            }
            Some(DestinationType::Webhook) => {
                let url = fields.required("url");
                let description = fields.optional("description");
                url.zip(description).map(|(url, description)| NewTarget::Webhook { url, description })
            }
            None => {
                // What would be needed is not known; what is wrong in form is named all the same.
                fields.optional::<Region>("region");
                fields.optional::<BusName>("eventBusName");
                fields.optional::<AwsCredentials>("credentials");
                fields.optional::<WebhookUrl>("url");
                None
            }
        };
        let enabled = fields.optional("enabled");
        let filter = fields.optional("filter");
        Some(Self { target: target?, enabled: enabled?.unwrap_or(true), filter: filter?.unwrap_or_default() })
    }
}

/// An ARN names a region of its own, which must be the one that is called.
fn check_region(region: &Region, bus: &BusName, fields: &mut Fields<'_>) {
    if bus.region().is_some_and(|named| named != region.as_str()) {
        fields.reject("eventBusName", "must name a bus in `region`");
    }
}

/// Saves where errors are to be sent. A bus is checked by a test event before; a webhook is given a secret, which is shown
/// this once. Keys and secrets are encrypted before they are stored.
#[utoipa::path(post, path = "/destinations", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "by which a repeat gets the first answer again")), request_body = CreateDestination, responses(
    (status = 201, body = DestinationWithSecret, headers(("Location", description = "where the destination is found"))),
    (status = 409, body = ProblemDocument, description = "there are 20 destinations already"),
    (status = 422, body = ProblemDocument, description = "fields are invalid, or AWS refused the connection"),
))]
pub async fn create_destination(
    caller: Backend,
    State(connections): State<ConnectionState>,
    seed: RequestSeed,
    Valid(NewDestination { target, enabled, filter }): Valid<NewDestination>,
) -> Result<NoStore<Created<DestinationWithSecret>>, Problem> {
    let (destination_id, now) = (seed.id(0), seed.at);
    let route = Route { environment: caller.environment, destination: destination_id };
    if seed.is_retry
        && let Some(earlier) = connections.destinations.get(caller.environment, destination_id).await?
    {
        let secret = match &earlier.target {
            Target::Webhook(webhook) => Some(open_secret(&connections.vault, route, &webhook.secret).await?),
            Target::EventBridge(_) => None,
        };
        return Ok(created(earlier, secret));
    }
    let filter = filter.resolve(&connections.users, caller.environment).await?;
    let (target, verification, secret) = match target {
        NewTarget::EventBridge { region, event_bus_name, credentials } => {
            let checked =
                check_connection(&connections.config, caller.environment, (&region, &event_bus_name), &credentials)
                    .await;
            let verification = checked.map_err(|refusal| {
                Problem::connection_refused(&refusal, least_privilege_policy(&region, &event_bus_name))
            })?;
            let masked_access_key_id = credentials.access_key_id.masked();
            let credentials = seal_credentials(&connections.vault, route, 1, &credentials).await?;
            let bus = EventBridge { region, event_bus_name, masked_access_key_id, credentials };
            (Target::EventBridge(bus), verification, None)
        }
        NewTarget::Webhook { url, description } => {
            connections.rules.check_url(&url).map_err(|forbidden| Problem::invalid_field("/url", forbidden))?;
            let secret = new_secret()?;
            let sealed = seal_secret(&connections.vault, route, 1, &secret).await?;
            let webhook = Webhook { url, description, secret: sealed, previous: Vec::new() };
            (Target::Webhook(webhook), Verification::untested(), Some(secret))
        }
    };
    let destination = Destination {
        destination_id,
        version: 1,
        enabled,
        disabled_reason: None,
        filter,
        target,
        verification,
        created_at: now,
        updated_at: now,
    };
    connections.destinations.create(caller.environment, &destination).await?;
    Ok(created(destination, secret))
}

fn created(destination: Destination, secret: Option<Secret>) -> NoStore<Created<DestinationWithSecret>> {
    let location = format!("destinations/{}", destination.destination_id);
    NoStore(Created::at(
        location,
        DestinationWithSecret { destination: (destination, Health::default()).into(), secret },
    ))
}
