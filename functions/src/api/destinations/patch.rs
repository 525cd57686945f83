//! `PATCH /destinations/{destinationId}`. AWS calls: two DynamoDB reads and one write, one more and perhaps a message where
//! it is switched on or off or turned to another place; for each user that a filter names by a name one read; where the bus
//! or its keys are replaced, two to the customer's bus and one or two of KMS.

use aws_config::SdkConfig;
use axum::extract::State;
use tenon::{
    aws::setting,
    delivery::{
        drain_scheduler::DrainScheduler,
        eventbridge::{check_connection, open_credentials, seal_credentials},
        queues::Queue,
    },
    domain::{
        delivery::Route,
        destination::{AwsCredentials, BusName, EventBridge, Region, Target, Verification},
        id::DestinationId,
        text::Text,
        timestamp::Timestamp,
        webhook::WebhookUrl,
    },
    http::{Backend, FieldError, Fields, Input, Json, Path, Problem, ProblemDocument, StartError, Valid},
    logs::ErrorChain,
    store::health::HealthStore,
};
use utoipa::ToSchema;

use super::{ConnectionState, DestinationBody, filter::NewFilter};

/// What the function is given.
#[derive(Clone, Debug)]
pub struct AppState {
    connections: ConnectionState,
    health_store: HealthStore,
    scheduler: DrainScheduler,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn state(config: &SdkConfig) -> Result<AppState, StartError> {
    let connections = super::connection_state(config).await?;
    let health_store = HealthStore(connections.destinations.0.clone());
    let scheduler =
        DrainScheduler { health_store: health_store.clone(), queue: Queue::new(config, setting("DRAINS_QUEUE")?) };
    Ok(AppState { connections, health_store, scheduler })
}

/// What is to be changed; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PatchDestination {
    /// The toggle: whether errors are sent.
    enabled: Option<bool>,
    /// The errors to which it is limited, in place of those before; null takes the limits away.
    filter: Option<NewFilter>,
    /// Of a webhook: where errors are posted to.
    url: Option<WebhookUrl>,
    /// Of a webhook: what you call it; null takes it away.
    #[schema(value_type = Option<Text<256>>)]
    description: Option<Option<Text<256>>>,
    /// Of a bus: its region.
    region: Option<Region>,
    /// Of a bus: its name or ARN.
    event_bus_name: Option<BusName>,
    /// Of a bus: other keys in place of those before.
    credentials: Option<AwsCredentials>,
}

impl Input for PatchDestination {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let enabled = fields.optional("enabled");
        let filter = match (fields.has("filter"), fields.optional("filter")) {
            (true, Some(None)) => Some(Some(NewFilter::default())),
            (_, filter) => filter,
        };
        let url = fields.optional("url");
        let description = fields.optional("description").map(|given| fields.has("description").then_some(given));
        let region = fields.optional("region");
        let event_bus_name = fields.optional("eventBusName");
        let credentials = fields.optional("credentials");
        Some(Self {
            enabled: enabled?,
            filter: filter?,
            url: url?,
            description: description?,
            region: region?,
            event_bus_name: event_bus_name?,
            credentials: credentials?,
        })
    }
}

/// Changes a destination: switches it on or off, limits it, or replaces its place or keys. A bus is then checked by a test
/// event. Switched on, or turned to another place, it is given another chance; switched off, what waits for it is
/// cancelled.
#[utoipa::path(patch, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), request_body = PatchDestination, responses(
    (status = 200, body = DestinationBody),
    (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument, description = "it was changed by another request meanwhile"),
    (status = 422, body = ProblemDocument, description = "fields are invalid, or AWS refused the connection"),
))]
pub async fn patch_destination(
    caller: Backend,
    State(state): State<AppState>,
    Path(id): Path<DestinationId>,
    Valid(body): Valid<PatchDestination>,
) -> Result<Json<DestinationBody>, Problem> {
    let AppState { connections, health_store, scheduler } = state;
    let route = Route { environment: caller.environment, destination: id };
    let found = connections.destinations.get_with_health(route).await?;
    let (mut destination, health) = found.ok_or_else(|| Problem::not_found("destination"))?;
    let PatchDestination { enabled, filter, url, description, region, event_bus_name, credentials } = body;

    let was_enabled = destination.enabled;
    if let Some(enabled) = enabled {
        destination.enabled = enabled;
        destination.disabled_reason = None;
    }
    if let Some(filter) = filter {
        destination.filter = filter.resolve(&connections.users, caller.environment).await?;
    }
    let bus_fields = [
        ("/region", region.is_some()),
        ("/eventBusName", event_bus_name.is_some()),
        ("/credentials", credentials.is_some()),
    ];
    let webhook_fields = [("/url", url.is_some()), ("/description", description.is_some())];
    let redirected = match &mut destination.target {
        Target::EventBridge(bus) => {
            reject_fields(&webhook_fields, "is only of a webhook")?;
            let verification = update_bus(&connections, route, bus, region, event_bus_name, credentials).await?;
            let redirected = verification.is_some();
            destination.verification = verification.unwrap_or(destination.verification);
            redirected
        }
        Target::Webhook(webhook) => {
            reject_fields(&bus_fields, "is only of a bus")?;
            webhook.description = description.unwrap_or(webhook.description.take());
            let redirected = url.as_ref().is_some_and(|url| *url != webhook.url);
            if let Some(url) = url {
                connections.rules.check_url(&url).map_err(|forbidden| Problem::invalid_field("/url", forbidden))?;
                webhook.url = url;
            }
            if redirected {
                destination.verification = Verification::untested();
            }
            redirected
        }
    };
    destination.version += 1;
    destination.updated_at = Timestamp::now();
    // Before the change, so that a repeat after a refusal does it again.
    let resets_health = destination.enabled && (redirected || enabled == Some(true));
    let health = if resets_health { health_store.reset(route).await? } else { health };
    connections.destinations.update(caller.environment, &destination).await?;
    let switched_off = was_enabled && !destination.enabled;
    if health.pending_since.is_some() && (resets_health || switched_off) {
        let now = Timestamp::now();
        if let Err(error) = scheduler.schedule(route, now, now).await {
            // The drain sees what has changed when it runs next.
            tracing::warn!(error = %ErrorChain(&error), "a drain was not told to run");
        }
    }
    Ok(Json((destination, health).into()))
}

/// Refuses fields that are not of the destination's type.
fn reject_fields(given: &[(&str, bool)], detail: &str) -> Result<(), Problem> {
    let given = given.iter().filter(|(_, given)| *given);
    let errors: Vec<FieldError> =
        given.map(|(pointer, _)| FieldError { pointer: (*pointer).into(), detail: detail.into() }).collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// Replaces a bus or its keys, after the new connection was checked. None where neither is replaced.
async fn update_bus(
    connections: &ConnectionState,
    route: Route,
    bus: &mut EventBridge,
    region: Option<Region>,
    event_bus_name: Option<BusName>,
    credentials: Option<AwsCredentials>,
) -> Result<Option<Verification>, Problem> {
    if region.is_none() && event_bus_name.is_none() && credentials.is_none() {
        return Ok(None);
    }
    bus.region = region.unwrap_or_else(|| bus.region.clone());
    bus.event_bus_name = event_bus_name.unwrap_or_else(|| bus.event_bus_name.clone());
    if bus.event_bus_name.region().is_some_and(|named| named != bus.region.as_str()) {
        return Err(Problem::invalid_field("/eventBusName", "must name a bus in `region`"));
    }
    let keys = match &credentials {
        Some(credentials) => credentials,
        None => &open_credentials(&connections.vault, route, &bus.credentials).await?,
    };
    let checked =
        check_connection(&connections.config, route.environment, (&bus.region, &bus.event_bus_name), keys).await;
    let verification =
        checked.map_err(|refusal| Problem::connection_refused(&refusal, bus.least_privilege_policy()))?;
    if let Some(credentials) = credentials {
        let version = bus.credentials.version + 1;
        bus.credentials = seal_credentials(&connections.vault, route, version, &credentials).await?;
        bus.masked_access_key_id = credentials.access_key_id.masked();
    }
    Ok(Some(verification))
}
