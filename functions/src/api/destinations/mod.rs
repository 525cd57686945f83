//! Destinations: where the errors of an environment are sent.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    aws::setting,
    delivery::guard::EgressRules,
    domain::{
        delivery::RETRY_SCHEDULE_SECS,
        destination::{BusName, Destination, EventBridge, Filter, Region, Target, Verification},
        health::{Circuit, Health},
        id::DestinationId,
        secret::Secret,
        text::Text,
        timestamp::Timestamp,
        webhook::{Webhook, WebhookUrl},
    },
    http::{IdempotentState, StartError},
    store::{Table, destinations::Destinations, users::Users},
    vault::Vault,
};
use utoipa::ToSchema;

pub mod create;
pub mod delete;
pub mod deliveries;
pub mod filter;
pub mod get;
pub mod list;
pub mod patch;
pub mod replay;
pub mod rotate_secret;
pub mod test;

/// What the functions that save connections are given.
#[derive(Clone, Debug)]
pub struct ConnectionState {
    destinations: Destinations,
    users: Users,
    vault: Vault,
    rules: EgressRules,
    /// What clients of the customer's AWS are made from.
    config: SdkConfig,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn connection_state(config: &SdkConfig) -> Result<ConnectionState, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (directory, ()) = tokio::join!(Table::directory(config, 1), vault.connect());
    let directory = directory?;
    Ok(ConnectionState {
        destinations: Destinations(directory.clone()),
        users: Users(directory),
        vault,
        rules: EgressRules::from_env()?,
        config: config.clone(),
    })
}

impl IdempotentState for ConnectionState {
    fn directory(&self) -> &Table {
        &self.destinations.0
    }

    // The answer to the creation of a webhook has its secret.
    fn vault(&self) -> Option<&Vault> {
        Some(&self.vault)
    }
}

/// The store alone, for functions that have no use of the vault.
pub async fn state(config: &SdkConfig) -> Result<Destinations, StartError> {
    Ok(Destinations(Table::directory(config, 1).await?))
}

/// A destination as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Destination)]
pub struct DestinationBody {
    /// Its id.
    pub destination_id: DestinationId,
    /// By which means, and where to.
    #[serde(flatten)]
    pub target: TargetBody,
    /// The toggle: whether errors are sent.
    pub enabled: bool,
    /// Why it was switched off, where Tenon did it.
    #[schema(required = true)]
    pub disabled_reason: Option<String>,
    /// The errors to which it is limited.
    pub filter: Filter,
    /// Whether the connection was proven when it was saved.
    pub verified: bool,
    /// What was proven, or why it was not.
    pub verification: String,
    /// How it does.
    pub health: HealthBody,
    /// The waits between attempts, in seconds; each is up to a tenth longer.
    #[schema(value_type = Vec<u32>)]
    pub retry_policy: &'static [u32],
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How a destination does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Health)]
pub struct HealthBody {
    /// When an attempt last succeeded, to the minute.
    #[schema(required = true)]
    last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    #[schema(required = true)]
    last_failure_at: Option<Timestamp>,
    /// How many deliveries wait for their next attempt; while more than some hundreds wait, nearly.
    pending: i64,
    /// Whether attempts are made: an open circuit lets errors wait while one after the other is tried.
    circuit: Circuit,
}

impl From<Health> for HealthBody {
    fn from(health: Health) -> Self {
        let circuit = health.circuit();
        let Health { last_success_at, last_failure_at, pending, .. } = health;
        Self { last_success_at, last_failure_at, pending: pending.max(0), circuit }
    }
}

/// A destination with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationWithSecret {
    /// The destination.
    #[serde(flatten)]
    destination: DestinationBody,
    /// Of a webhook: the secret by which its requests are signed, `whsec_…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

/// What is particular to a type of destination.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
#[schema(as = Target)]
pub enum TargetBody {
    /// A customer's own Amazon EventBridge bus.
    EventBridge {
        /// The bus's region.
        region: Region,
        /// The bus, by name or ARN.
        event_bus_name: BusName,
        /// The keys, as far as they are shown.
        credentials: MaskedCredentials,
        /// The least-privilege IAM policy for these keys.
        #[schema(value_type = Object)]
        policy: serde_json::Value,
    },
    /// A customer's own HTTP endpoint.
    Webhook {
        /// Where errors are posted to.
        url: WebhookUrl,
        /// What the customer calls it.
        #[schema(required = true)]
        description: Option<Text<256>>,
    },
}

/// Keys as far as they are shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskedCredentials {
    /// The first four and the last four characters.
    access_key_id: String,
}

impl From<(Destination, Health)> for DestinationBody {
    fn from((destination, health): (Destination, Health)) -> Self {
        let Destination {
            destination_id,
            version: _,
            enabled,
            disabled_reason,
            filter,
            target,
            verification: Verification { verified, reason },
            created_at,
            updated_at,
        } = destination;
        Self {
            destination_id,
            target: target.into(),
            enabled,
            disabled_reason,
            filter,
            verified,
            verification: reason,
            health: health.into(),
            retry_policy: &RETRY_SCHEDULE_SECS,
            created_at,
            updated_at,
        }
    }
}

impl From<Target> for TargetBody {
    fn from(target: Target) -> Self {
        match target {
            Target::EventBridge(bus) => {
                let policy = bus.least_privilege_policy();
                let EventBridge { region, event_bus_name, masked_access_key_id, credentials: _ } = bus;
                let credentials = MaskedCredentials { access_key_id: masked_access_key_id };
                Self::EventBridge { region, event_bus_name, credentials, policy }
            }
            Target::Webhook(Webhook { url, description, secret: _, previous: _ }) => Self::Webhook { url, description },
        }
    }
}
