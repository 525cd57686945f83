//! `POST /destinations`. AWS calls: two to the customer's bus, one of KMS and one DynamoDB transaction.

use axum::extract::State;
use tenon::{
    delivery::eventbridge::{check, seal_credentials},
    domain::{
        destination::{AwsCredentials, BusName, Destination, EventBridge, Filter, Region, Target},
        id::DestinationId,
        timestamp::Timestamp,
    },
    http::{At, Backend, Created, Fields, FromJson, Input, Problem, ProblemDocument, Valid},
};
use utoipa::ToSchema;

pub use super::connecting as state;
use super::{Connecting, DestinationBody};

/// What is needed to create a destination.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreateDestination {
    /// By which means.
    #[schema(rename = "type")]
    kind: DestinationType,
    /// The bus's region.
    region: Region,
    /// The bus, by name or ARN.
    event_bus_name: BusName,
    /// Keys that may put events on the bus. They are encrypted and never shown again.
    credentials: AwsCredentials,
    /// Whether errors are sent.
    #[schema(default = true, required = false)]
    enabled: bool,
    /// The errors to which it is limited.
    #[schema(required = false)]
    filter: Filter,
}

/// A type of destination.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum DestinationType {
    /// A customer's own Amazon EventBridge bus.
    EventBridge,
}

impl FromJson for DestinationType {
    fn from_json(value: &serde_json::Value, at: &mut At<'_>) -> Option<Self> {
        match value.as_str() {
            Some("eventbridge") => Some(Self::EventBridge),
            _ => at.reject("must be `eventbridge`"),
        }
    }
}

impl Input for CreateDestination {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let kind = fields.required("type");
        let region = fields.required("region");
        let event_bus_name = fields.required("eventBusName");
        let credentials = fields.required("credentials");
        let enabled = fields.optional("enabled");
        let filter = fields.optional("filter");
        if let (Some(region), Some(bus)) = (&region, &event_bus_name) {
            check_region(region, bus, fields);
        }
        Some(Self {
            kind: kind?,
            region: region?,
            event_bus_name: event_bus_name?,
            credentials: credentials?,
            enabled: enabled?.unwrap_or(true),
            filter: filter?.unwrap_or_default(),
        })
    }
}

/// An ARN names a region of its own, which must be the one that is called.
pub(super) fn check_region(region: &Region, bus: &BusName, fields: &mut Fields<'_>) {
    if bus.region().is_some_and(|named| named != region.as_str()) {
        fields.reject("eventBusName", "must name a bus in `region`");
    }
}

/// Saves where errors are to be sent, after the connection was checked by a test event. The keys are encrypted before they
/// are stored.
#[utoipa::path(post, path = "/destinations", tag = "destinations", security(("apiKey" = ["manage"])),
    request_body = CreateDestination, responses(
    (status = 201, body = DestinationBody, headers(("Location", description = "where the destination is found"))),
    (status = 409, body = ProblemDocument, description = "there are 20 destinations already"),
    (status = 422, body = ProblemDocument, description = "fields are invalid, or AWS refused the connection"),
))]
pub async fn create_destination(
    caller: Backend,
    State(connecting): State<Connecting>,
    Valid(body): Valid<CreateDestination>,
) -> Result<Created<DestinationBody>, Problem> {
    let CreateDestination { kind: DestinationType::EventBridge, region, event_bus_name, credentials, enabled, filter } =
        body;
    let Connecting { destinations, vault, config } = connecting;
    let checked = check(&config, caller.environment, (&region, &event_bus_name), &credentials).await;
    let verification = checked.map_err(|refusal| Problem::connection_refused(&refusal))?;
    let (destination_id, now) = (DestinationId::new(), Timestamp::now());
    let sealed = seal_credentials(&vault, caller.environment, destination_id, 1, &credentials).await?;
    let destination = Destination {
        destination_id,
        version: 1,
        enabled,
        disabled_reason: None,
        filter,
        target: Target::EventBridge(EventBridge {
            region,
            event_bus_name,
            masked_access_key_id: credentials.access_key_id.masked(),
            credentials: sealed,
        }),
        verification,
        created_at: now,
        updated_at: now,
    };
    destinations.create(caller.environment, &destination).await?;
    Ok(Created::at(format!("destinations/{destination_id}"), destination.into()))
}
