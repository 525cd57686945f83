//! Destinations: the EventBridge buses and webhooks that receive the records of an environment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error_log::EngineText,
    event::Subscription,
    event_bus::{BusAccess, EventBridge},
    id::{DestinationId, UserId, WorkflowId},
    record::{FilterAttributes, Record},
    text::Text,
    timestamp::Timestamp,
    webhook::Webhook,
    workflow::EngineIntegrationId,
};

/// Maximum number of destinations per environment.
pub const MAX_DESTINATIONS: u32 = 20;

/// Destination as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Destination id.
    pub destination_id: DestinationId,
    /// Display name.
    #[serde(default)]
    pub name: Option<Text<256>>,
    /// Increases with every change. Detects concurrent changes.
    pub version: u32,
    /// Whether records are sent.
    pub enabled: bool,
    /// Reason why Tenon disabled the destination; `None` if it did not.
    pub disabled_reason: Option<String>,
    /// Time since which the destination is disabled; `None` if it is enabled.
    #[serde(default)]
    pub disabled_at: Option<Timestamp>,
    /// Records that are sent.
    #[serde(default = "errors_only")]
    pub events: Vec<Subscription>,
    /// Restricts the records that are sent.
    pub filter: Filter,
    /// Type and address.
    pub target: Target,
    /// Result of the connection check when the target was last saved.
    pub verification: Verification,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl Destination {
    /// Enables or disables the destination at a caller's request.
    pub fn set_enabled(&mut self, enabled: bool, now: Timestamp) {
        self.disabled_at = if enabled { None } else { self.disabled_at.or_else(|| self.enabled.then_some(now)) };
        // A destination that stays disabled keeps the reason.
        if enabled || self.enabled {
            self.disabled_reason = None;
        }
        self.enabled = enabled;
    }

    /// Returns whether the destination is enabled and wants this record.
    pub fn accepts(&self, record: &Record) -> bool {
        self.enabled && self.wants(&record.filter_attributes())
    }

    /// Returns whether the destination wants errors that its filter matches.
    pub fn wants_errors(&self) -> bool {
        self.events.contains(&Subscription::Errors)
    }

    /// Returns whether the destination wants any events that its filter matches.
    pub fn wants_events(&self) -> bool {
        self.events.iter().any(|wanted| *wanted != Subscription::Errors)
    }

    /// Returns whether the destination wants records with these attributes.
    pub fn wants(&self, attributes: &FilterAttributes<'_>) -> bool {
        self.events.iter().any(|wanted| wanted.includes(attributes.event_type)) && self.filter.matches(attributes)
    }
}

/// Maximum number of subscriptions of a destination.
pub const MAX_SUBSCRIPTIONS: usize = 20;

/// Returns the subscriptions of a destination that names none: errors.
pub fn errors_only() -> Vec<Subscription> {
    vec![Subscription::Errors]
}

/// Result of the connection check, or the reason why none was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether the check proves that records will arrive.
    pub verified: bool,
    /// Explanation of the result.
    pub reason: String,
}

impl Verification {
    /// Returns the result for a webhook without deliveries.
    pub fn untested() -> Self {
        Self { verified: false, reason: "no deliveries yet; send a test event".into() }
    }

    /// Returns the result for a role that Tenon has not assumed yet.
    pub fn untried_role() -> Self {
        let reason =
            "the role has not been assumed yet; create it with `trustPolicy` and `policy`, then enable the destination";
        Self { verified: false, reason: reason.into() }
    }
}

/// Type of a destination, with the settings of that type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Amazon EventBridge bus of the customer.
    EventBridge(EventBridge),
    /// HTTP endpoint of the customer.
    Webhook(Webhook),
}

impl Target {
    /// Returns whether records arrive at the same URL or bus, perhaps with other credentials.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Webhook(one), Self::Webhook(other)) => one.url == other.url,
            (Self::EventBridge(one), Self::EventBridge(other)) => {
                (&one.region, &one.event_bus_name) == (&other.region, &other.event_bus_name)
            }
            _ => false,
        }
    }

    /// Returns whether Tenon assumes a role to send records.
    pub fn has_role(&self) -> bool {
        matches!(self, Self::EventBridge(EventBridge { access: BusAccess::Role { .. }, .. }))
    }
}

/// Restricts the records that a destination receives. An empty or absent list matches every record;
/// all other lists must match. A list does not match a record without the attribute, except that
/// `blockType` applies to errors only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Ids of workflows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub workflow_id: Vec<WorkflowId>,
    /// Ids of users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub user_id: Vec<UserId>,
    /// Block types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub block_type: Vec<EngineText>,
    /// Ids of integrations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub integration_id: Vec<EngineIntegrationId>,
}

/// Maximum number of entries in each list of a filter.
pub const MAX_FILTER_ENTRIES: usize = 100;
/// Maximum length of a filter as JSON, in bytes. Each batch of the stream reads all destinations of
/// its environment, from one partition.
pub const MAX_FILTER_BYTES: usize = 16 * 1024;

impl Filter {
    /// Returns the size as JSON, in bytes.
    pub fn size(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |json| json.len())
    }

    /// Returns whether a record with these attributes matches.
    pub fn matches(&self, attributes: &FilterAttributes<'_>) -> bool {
        fn contains<T: PartialEq>(list: &[T], value: Option<&T>) -> bool {
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        }
        let FilterAttributes { event_type, workflow_id, user_id, integration_id, block_type } = attributes;
        contains(&self.workflow_id, workflow_id.as_ref())
            && contains(&self.user_id, Some(user_id))
            && contains(&self.integration_id, *integration_id)
            && (event_type.is_some() || contains(&self.block_type, *block_type))
    }
}
