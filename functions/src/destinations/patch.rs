//! `PATCH /destinations/{destinationId}`. AWS calls: one DynamoDB read, one write; where the bus or its keys are
//! replaced, two to the customer's bus and one or two of KMS.

use axum::extract::State;
use tenon::{
    delivery::eventbridge::{check, open_credentials, seal_credentials},
    domain::{
        destination::{AwsCredentials, BusName, Filter, Region, Target},
        id::DestinationId,
        timestamp::Timestamp,
    },
    http::{Backend, FieldError, Fields, Input, Json, Path, Problem, ProblemDocument, Valid},
};
use utoipa::ToSchema;

pub use super::connecting as state;
use super::{Connecting, DestinationBody};

/// What is to be changed; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PatchDestination {
    /// The toggle: whether errors are sent.
    enabled: Option<bool>,
    /// The errors to which it is limited, in place of those before; null takes the limits away.
    filter: Option<Filter>,
    /// The bus's region.
    region: Option<Region>,
    /// The bus, by name or ARN.
    event_bus_name: Option<BusName>,
    /// Other keys in place of those before.
    credentials: Option<AwsCredentials>,
}

impl Input for PatchDestination {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let enabled = fields.optional("enabled");
        let filter = match (fields.has("filter"), fields.optional("filter")) {
            (true, Some(None)) => Some(Some(Filter::default())),
            (_, filter) => filter,
        };
        let region = fields.optional("region");
        let event_bus_name = fields.optional("eventBusName");
        let credentials = fields.optional("credentials");
        Some(Self {
            enabled: enabled?,
            filter: filter?,
            region: region?,
            event_bus_name: event_bus_name?,
            credentials: credentials?,
        })
    }
}

/// Changes a destination: switches it on or off, limits it, or replaces its bus or keys, which are then checked by a test
/// event.
#[utoipa::path(patch, path = "/destinations/{destinationId}", tag = "destinations", security(("apiKey" = ["manage"])),
    params(("destinationId" = DestinationId, Path)), request_body = PatchDestination, responses(
    (status = 200, body = DestinationBody),
    (status = 404, body = ProblemDocument),
    (status = 409, body = ProblemDocument, description = "it was changed by another request meanwhile"),
    (status = 422, body = ProblemDocument, description = "fields are invalid, or AWS refused the connection"),
))]
pub async fn patch_destination(
    caller: Backend,
    State(connecting): State<Connecting>,
    Path(id): Path<DestinationId>,
    Valid(body): Valid<PatchDestination>,
) -> Result<Json<DestinationBody>, Problem> {
    let Connecting { destinations, vault, config } = connecting;
    let found = destinations.get(caller.environment, id).await?;
    let mut destination = found.ok_or_else(|| Problem::not_found("destination"))?;
    let PatchDestination { enabled, filter, region, event_bus_name, credentials } = body;

    if let Some(enabled) = enabled {
        destination.enabled = enabled;
        destination.disabled_reason = None;
    }
    destination.filter = filter.unwrap_or(destination.filter);
    let Target::EventBridge(bus) = &mut destination.target;
    let moved = region.is_some() || event_bus_name.is_some();
    bus.region = region.unwrap_or_else(|| bus.region.clone());
    bus.event_bus_name = event_bus_name.unwrap_or_else(|| bus.event_bus_name.clone());
    if bus.event_bus_name.region().is_some_and(|named| named != bus.region.as_str()) {
        let detail = "must name a bus in `region`".to_owned();
        return Err(Problem::invalid(vec![FieldError { pointer: "/eventBusName".into(), detail }]));
    }
    if moved || credentials.is_some() {
        let keys = match &credentials {
            Some(credentials) => credentials,
            None => &open_credentials(&vault, caller.environment, id, &bus.credentials).await?,
        };
        let checked = check(&config, caller.environment, (&bus.region, &bus.event_bus_name), keys).await;
        destination.verification = checked.map_err(|refusal| Problem::connection_refused(&refusal))?;
    }
    if let Some(credentials) = credentials {
        let version = bus.credentials.version + 1;
        bus.credentials = seal_credentials(&vault, caller.environment, id, version, &credentials).await?;
        bus.masked_access_key_id = credentials.access_key_id.masked();
    }
    destination.version += 1;
    destination.updated_at = Timestamp::now();
    destinations.update(caller.environment, &destination).await?;
    Ok(Json(destination.into()))
}
