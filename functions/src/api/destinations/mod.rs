//! Destinations: EventBridge buses and webhooks that receive the records of an environment.

use serde::Serialize;
use tenon::{
    delivery::connections::Connections,
    domain::{
        delivery::{Attempt, RETRY_SCHEDULE_SECS, Route},
        destination::{Destination, Filter, Target, Verification},
        event::Subscription,
        event_bus::{BusAccess, BusName, EventBridge, Region},
        health::{Circuit, Health},
        id::{DestinationId, EnvironmentId},
        role::{ExternalId, Principal, RoleArn},
        secret::Secret,
        text::Text,
        timestamp::Timestamp,
        webhook::{Webhook, WebhookUrl},
    },
    start::FromAws,
    store::{ReadOnly, destinations::Destinations, users::Users},
};
use utoipa::{OpenApi, ToSchema};

pub mod create;
pub mod credentials;
pub mod delete;
pub mod deliveries;
pub mod filter;
pub mod get;
pub mod list;
pub mod patch;
pub mod replay;
pub mod rotate_secret;
pub mod test;

/// Operations of the resource.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    create::create_destination,
    list::list_destinations,
    get::get_destination,
    patch::patch_destination,
    delete::delete_destination,
    test::test_destination,
    rotate_secret::rotate_secret,
    deliveries::list_deliveries,
    replay::start_replay,
))]
pub struct Operations;

/// State of the functions that save destinations.
#[derive(Clone, Debug, FromAws)]
pub struct State {
    destinations: Destinations,
    users: Users,
    connections: Connections,
}

/// State of the functions that read destinations.
#[derive(Clone, Debug, FromAws)]
pub struct ReadState {
    destinations: Destinations<ReadOnly>,
    principal: Principal,
}

/// Destination as the API returns it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Destination)]
pub struct DestinationBody {
    /// Id of the destination.
    pub destination_id: DestinationId,
    /// Display name.
    #[schema(required = true)]
    pub name: Option<Text<256>>,
    /// Type of the destination, with the fields of the type.
    #[serde(flatten)]
    pub target: TargetBody,
    /// Whether records are sent.
    pub enabled: bool,
    /// Reason why Tenon disabled the destination; null if it did not.
    #[schema(required = true)]
    pub disabled_reason: Option<String>,
    /// Time since which the destination is disabled; null if it is enabled.
    #[schema(required = true)]
    pub disabled_at: Option<Timestamp>,
    /// Records that are sent: errors, and types of events.
    pub events: Vec<Subscription>,
    /// Filter of the records that are sent.
    pub filter: Filter,
    /// Whether the connection was verified: by the check when it was saved, or by a delivery that a
    /// webhook accepted.
    pub verified: bool,
    /// Result of the verification, or the reason why the connection is unverified.
    pub verification: String,
    /// Health of the destination.
    pub health: HealthBody,
    /// Waits between attempts, in seconds; each is up to 10 % longer.
    #[schema(value_type = Vec<u32>)]
    pub retry_policy: &'static [u32],
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// Health of a destination.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Health)]
pub struct HealthBody {
    /// Summary.
    status: HealthStatus,
    /// Time of the last successful attempt, to the minute.
    #[schema(required = true)]
    last_success_at: Option<Timestamp>,
    /// Time of the last failed attempt.
    #[schema(required = true)]
    last_failure_at: Option<Timestamp>,
    /// Time of the first of the failed attempts since the last successful one; null if there is
    /// none.
    #[schema(required = true)]
    failing_since: Option<Timestamp>,
    /// Newest failed attempt since the last successful one; null if there is none.
    #[schema(required = true)]
    last_failure: Option<Attempt>,
    /// Number of pending deliveries; approximate above a few hundred.
    pending: i64,
    /// State of the circuit. While it is open, records are queued and sent one at a time as probes.
    circuit: Circuit,
    /// Time of the next attempt of a pending delivery, at the earliest; null if there is none.
    #[schema(required = true)]
    next_attempt_at: Option<Timestamp>,
}

/// Summary of the health of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The destination is disabled.
    Disabled,
    /// The circuit is open.
    Failing,
    /// Deliveries are pending.
    Retrying,
    /// Everything was delivered, or nothing was sent yet.
    Healthy,
}

impl HealthBody {
    fn new(health: Health, enabled: bool) -> Self {
        let circuit = health.circuit();
        let next_attempt_at = health.next_attempt_at().filter(|_| enabled);
        let Health { last_success_at, last_failure_at, failing_since, last_failure, pending, .. } = health;
        let status = match (enabled, circuit) {
            (false, _) => HealthStatus::Disabled,
            (true, Circuit::Open) => HealthStatus::Failing,
            (true, Circuit::Closed) if pending > 0 => HealthStatus::Retrying,
            (true, Circuit::Closed) => HealthStatus::Healthy,
        };
        Self {
            status,
            last_success_at,
            last_failure_at,
            failing_since,
            last_failure,
            pending: pending.max(0),
            circuit,
            next_attempt_at,
        }
    }
}

/// Destination with its secret, which is returned only once.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationWithSecret {
    /// Destination.
    #[serde(flatten)]
    destination: DestinationBody,
    /// Secret that signs the requests to a webhook, `whsec_…`; absent for a bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    secret: Option<Secret>,
}

/// Fields that depend on the type of a destination.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
#[schema(as = Target)]
#[expect(clippy::large_enum_variant, reason = "only lists have more than one, of at most 20")]
pub enum TargetBody {
    /// Amazon EventBridge bus of the customer.
    #[schema(rename_all = "camelCase")]
    EventBridge {
        /// Region of the bus.
        region: Region,
        /// Name or ARN of the bus.
        event_bus_name: BusName,
        /// Access keys or role.
        credentials: BusCredentials,
        /// ARN of the account that assumes roles: that of Tenon.
        principal: Principal,
        /// Trust policy of a role for this destination.
        #[schema(value_type = Object)]
        trust_policy: serde_json::Value,
        /// Least-privilege IAM policy for the keys or the role.
        #[schema(value_type = Object)]
        policy: serde_json::Value,
    },
    /// HTTPS endpoint of the customer.
    Webhook {
        /// URL to which records are posted.
        url: WebhookUrl,
        /// Description.
        #[schema(required = true)]
        description: Option<Text<256>>,
    },
}

/// Access to the account of a bus: masked access keys, or a role.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BusCredentials {
    /// First four and last four characters of the access key id; absent for a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    access_key_id: Option<String>,
    /// ARN of the role; absent for access keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    role_arn: Option<RoleArn>,
    /// External id with which Tenon assumes a role for this destination, and no other.
    external_id: ExternalId,
}

impl DestinationBody {
    /// Returns a destination of an environment. `principal` is the account in which Tenon runs.
    pub fn new(
        environment: EnvironmentId,
        principal: &Principal,
        (destination, health): (Destination, Health),
    ) -> Self {
        let Destination {
            destination_id,
            name,
            version: _,
            enabled,
            disabled_reason,
            disabled_at,
            events,
            filter,
            target,
            verification,
            created_at,
            updated_at,
        } = destination;
        let route = Route { environment, destination: destination_id };
        // For a bus a success proves nothing: AWS also accepts events for a bus that does not
        // exist.
        let proof = health.last_success_at.filter(|_| matches!(target, Target::Webhook(_)));
        let Verification { verified, reason } = match proof {
            Some(at) if !verification.verified => {
                Verification { verified: true, reason: format!("a delivery was accepted at {at}") }
            }
            _ => verification,
        };
        Self {
            destination_id,
            name,
            target: TargetBody::new(route, principal, target),
            enabled,
            disabled_reason,
            disabled_at,
            events,
            filter,
            verified,
            verification: reason,
            health: HealthBody::new(health, enabled),
            retry_policy: &RETRY_SCHEDULE_SECS,
            created_at,
            updated_at,
        }
    }
}

impl TargetBody {
    fn new(route: Route, principal: &Principal, target: Target) -> Self {
        match target {
            Target::EventBridge(bus) => {
                let (policy, external_id) = (bus.least_privilege_policy(), ExternalId::of(route));
                let EventBridge { region, event_bus_name, access } = bus;
                let (access_key_id, role_arn) = match access {
                    BusAccess::Keys { masked_access_key_id, credentials: _ } => (Some(masked_access_key_id), None),
                    BusAccess::Role { role_arn } => (None, Some(role_arn)),
                };
                Self::EventBridge {
                    region,
                    event_bus_name,
                    principal: principal.clone(),
                    trust_policy: external_id.trust_policy(principal),
                    credentials: BusCredentials { access_key_id, role_arn, external_id },
                    policy,
                }
            }
            Target::Webhook(Webhook { url, description, secret: _, previous: _ }) => Self::Webhook { url, description },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn status_summarizes_the_health() {
        let at = Timestamp::from_seconds(1_795_498_200);
        let retrying = Health { pending: 3, wake_at: Some(at), ..Health::default() };
        let failing = Health { consecutive_failures: 5, ..retrying.clone() };
        for (health, enabled, status, next_attempt_at) in [
            (Health::default(), true, HealthStatus::Healthy, None),
            (Health { wake_at: Some(at), ..Health::default() }, true, HealthStatus::Healthy, None),
            (retrying.clone(), true, HealthStatus::Retrying, Some(at)),
            (failing.clone(), true, HealthStatus::Failing, Some(at)),
            (failing, false, HealthStatus::Disabled, None),
            (Health::default(), false, HealthStatus::Disabled, None),
            // The message arrives earlier, because SQS delays none for hours.
            (
                Health { next_due_at: Some(at + Duration::from_secs(3600)), ..retrying.clone() },
                true,
                HealthStatus::Retrying,
                Some(at + Duration::from_secs(3600)),
            ),
            (
                Health { retry_after: Some(at + Duration::from_secs(60)), ..retrying.clone() },
                true,
                HealthStatus::Retrying,
                Some(at + Duration::from_secs(60)),
            ),
        ] {
            let body = HealthBody::new(health, enabled);
            assert_eq!((body.status, body.next_attempt_at), (status, next_attempt_at));
        }
    }
}
