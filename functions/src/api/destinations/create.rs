//! `POST /destinations`. AWS calls: one DynamoDB read for each user that the filter names by
//! username or email address; one KMS call, except for a role; for a bus with keys two calls to it;
//! one DynamoDB transaction; with an Idempotency-Key two more writes and one more KMS call.

use axum::extract;
use tenon::{
    delivery::connections::NewTarget,
    domain::{
        delivery::Route,
        destination::{Destination, MAX_SUBSCRIPTIONS, errors_only},
        event::Subscription,
        event_bus::{BusName, Region},
        health::Health,
        request_seed::RequestSeed,
        role::Principal,
        secret::Secret,
        text::Text,
        webhook::WebhookUrl,
    },
    http::{Backend, Created, FieldErrors, Fields, IdempotencyKey, Input, Json, NoStore, Problem, Valid},
};
use utoipa::ToSchema;

use super::{
    DestinationBody, DestinationWithSecret, State,
    credentials::{NewCredentials, NewCredentialsBody},
    filter::NewFilter,
};

/// Body of a request to create a destination. A webhook requires `url`; a bus requires `region`,
/// `eventBusName` and `credentials`.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "documents the input of NewDestination")]
struct CreateDestination {
    /// Type of the destination.
    #[serde(rename = "type")]
    kind: DestinationType,
    /// Display name.
    name: Option<Text<256>>,
    /// URL of a webhook, to which records are posted.
    url: Option<WebhookUrl>,
    /// Description of a webhook.
    description: Option<Text<256>>,
    /// Region of a bus.
    region: Option<Region>,
    /// Name or ARN of a bus.
    event_bus_name: Option<BusName>,
    /// Role or access keys that may put events on the bus. Keys are encrypted and never returned.
    credentials: Option<NewCredentialsBody>,
    /// Whether records are sent. A bus with a role is created disabled, because the role must trust
    /// an external id that the response contains.
    #[schema(default = true, required = false)]
    enabled: bool,
    /// Records that are sent: `error` for errors, types of events such as `workflow.activated`, or
    /// all types of a resource such as `workflow.*`. Without it, errors are sent.
    #[schema(required = false, min_items = 1, max_items = 20)]
    events: Option<Vec<Subscription>>,
    /// Filter of the records that are sent.
    filter: Option<NewFilter>,
}

/// Destination before it is saved.
#[derive(Debug)]
pub struct NewDestination {
    name: Option<Text<256>>,
    target: NewTarget,
    enabled: bool,
    events: Vec<Subscription>,
    filter: NewFilter,
}

/// Type of a destination.
#[derive(Clone, Copy, Debug, Input, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum DestinationType {
    /// Amazon EventBridge bus of the customer.
    EventBridge,
    /// HTTPS endpoint of the customer.
    Webhook,
}

impl Input for NewDestination {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let kind = fields.required("type");
        // All are read whatever the type: given fields are validated, and none is unknown.
        let region = fields.optional::<Region>("region");
        let event_bus_name = fields.optional::<BusName>("eventBusName");
        let credentials = fields.optional::<NewCredentials>("credentials");
        let url = fields.optional("url");
        let description = fields.optional("description");
        let target = match kind {
            Some(DestinationType::EventBridge) => {
                fields.reject_given(&["url", "description"], "applies only to webhook destinations");
                let region = fields.require("region", region);
                let event_bus_name = fields.require("eventBusName", event_bus_name);
                let credentials = fields.require("credentials", credentials);
                // `region` is called, so a bus ARN must not have another one.
                if let (Some(region), Some(bus)) = (&region, &event_bus_name)
                    && let Err(error) = bus.check_region(region)
                {
                    fields.reject("eventBusName", error);
                }
                region.zip(event_bus_name).zip(credentials).map(|((region, event_bus_name), credentials)| {
                    NewTarget::EventBridge { region, event_bus_name, credentials: credentials.into() }
                })
            }
            Some(DestinationType::Webhook) => {
                let bus_fields = ["region", "eventBusName", "credentials"];
                fields.reject_given(&bus_fields, "applies only to EventBridge destinations");
                let url = fields.require("url", url);
                url.zip(description).map(|(url, description)| NewTarget::Webhook { url, description })
            }
            // Without a type, the required fields are unknown.
            None => None,
        };
        let name = fields.optional("name");
        let enabled = fields.optional("enabled");
        let events = fields.bounded("events", 1..=MAX_SUBSCRIPTIONS);
        let filter = fields.optional("filter");
        Some(Self {
            name: name?,
            target: target?,
            enabled: enabled?.unwrap_or(true),
            events: events?.unwrap_or_else(errors_only),
            filter: filter?.unwrap_or_default(),
        })
    }
}

/// Creates a destination.
///
/// A bus with access keys is first checked with a test event. A bus with a role is created disabled
/// and unverified: create the role with `trustPolicy` and `policy` of the response, then enable the
/// destination. A webhook receives a secret, which is returned only once. Keys and secrets are
/// encrypted before they are stored.
#[utoipa::path(post, path = "/destinations", tag = "destinations", security(("apiKey" = ["manage"])),
    params(IdempotencyKey), request_body = CreateDestination, responses((status = 201, body = DestinationWithSecret),
        (status = 409, description = "the environment already has 20 destinations, or the destination of this key was deleted"),
        (status = 422, description = "AWS refused the connection")))]
pub async fn create_destination(
    caller: Backend,
    extract::State(state): extract::State<State>,
    seed: RequestSeed,
    Valid(NewDestination { name, target, enabled, events, filter }): Valid<NewDestination>,
) -> Result<NoStore<Created<Json<DestinationWithSecret>>>, Problem> {
    let (destination_id, now) = (seed.id(0), seed.at);
    let route = Route { environment: caller.environment, destination: destination_id };
    if seed.is_retry
        && let Some(earlier) = state.destinations.get(caller.environment, destination_id).await?
    {
        let secret = state.connections.secret(route, &earlier.target).await?;
        return Ok(created(route, &state.connections.principal, earlier, secret));
    }
    let mut errors = FieldErrors::default();
    let filter = filter.resolve(&state.users, caller.environment, &mut errors).await?;
    let target = errors.collect(state.connections.validate(target));
    let target = errors.finish(target)?;
    let (target, verification, secret) = state.connections.connect(route, target).await?;
    let enabled = enabled && !target.has_role();
    let destination = Destination {
        destination_id,
        name,
        version: 1,
        enabled,
        disabled_reason: None,
        disabled_at: (!enabled).then_some(now),
        events,
        filter,
        target,
        verification,
        created_at: now,
        updated_at: now,
    };
    state.destinations.create(caller.environment, &destination, &seed).await?;
    Ok(created(route, &state.connections.principal, destination, secret))
}

fn created(
    Route { environment, destination: id }: Route,
    principal: &Principal,
    destination: Destination,
    secret: Option<Secret>,
) -> NoStore<Created<Json<DestinationWithSecret>>> {
    let destination = DestinationBody::new(environment, principal, (destination, Health::default()));
    NoStore(Created::at(format!("destinations/{id}"), Json(DestinationWithSecret { destination, secret })))
}
