//! Destinations: where the errors of an environment are sent.

use aws_config::SdkConfig;
use serde::Serialize;
use tenon::{
    aws::setting,
    domain::{
        delivery::RETRY_POLICY,
        destination::{BusName, Destination, EventBridge, Filter, Region, Target, Verification},
        id::DestinationId,
        timestamp::Timestamp,
    },
    http::StartError,
    store::{Table, destinations::Destinations},
    vault::Vault,
};
use utoipa::ToSchema;

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod patch;
pub mod test;

/// What the functions that check connections are given.
#[derive(Clone, Debug)]
pub struct Connecting {
    destinations: Destinations,
    vault: Vault,
    /// What clients of the customer's AWS are made from.
    config: SdkConfig,
}

/// Opens the connections to DynamoDB and KMS.
pub async fn connecting(config: &SdkConfig) -> Result<Connecting, StartError> {
    let vault = Vault::new(config, setting::<String>("DESTINATIONS_KEY")?);
    let (directory, ()) = tokio::join!(Table::directory(config), vault.connect());
    Ok(Connecting { destinations: Destinations(directory?), vault, config: config.clone() })
}

/// The store alone, for functions that have no use of the vault.
pub async fn state(config: &SdkConfig) -> Result<Destinations, StartError> {
    Ok(Destinations(Table::directory(config).await?))
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
    /// The waits between attempts, in seconds; each is up to a tenth longer.
    #[schema(value_type = Vec<u32>)]
    pub retry_policy: &'static [u32],
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
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
}

/// Keys as far as they are shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskedCredentials {
    /// The first four and the last four characters.
    access_key_id: String,
}

impl From<Destination> for DestinationBody {
    fn from(destination: Destination) -> Self {
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
            retry_policy: &RETRY_POLICY,
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
        }
    }
}
