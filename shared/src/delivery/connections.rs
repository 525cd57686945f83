//! Connections of destinations: what is checked and encrypted before a destination is saved.

use aws_config::SdkConfig;

use super::{
    eventbridge::{ConnectionRefused, check_connection, open_credentials, seal_credentials},
    guard::{EgressRules, Forbidden},
    webhook::{new_secret, open_secret, seal_secret},
};
use crate::{
    domain::{
        delivery::Route,
        destination::{AwsCredentials, BusName, EventBridge, Region, Target, Verification, least_privilege_policy},
        patch::Patch,
        secret::Secret,
        text::Text,
        timestamp::Timestamp,
        webhook::{Webhook, WebhookUrl},
    },
    vault::{Vault, VaultError},
};

/// Checks and encrypts connections.
#[derive(Clone, Debug)]
pub struct Connections {
    /// Vault that encrypts credentials and secrets.
    pub vault: Vault,
    /// Addresses that webhooks may have.
    pub rules: EgressRules,
    /// Configuration from which the clients of the customer's AWS account are created.
    pub config: SdkConfig,
}

/// Target before it is saved.
#[derive(Debug)]
pub enum NewTarget {
    /// Bus with the credentials in plaintext.
    EventBridge {
        /// Region of the bus.
        region: Region,
        /// Name or ARN of the bus, in this region.
        event_bus_name: BusName,
        /// Credentials that may put events on the bus.
        credentials: AwsCredentials,
    },
    /// Webhook.
    Webhook {
        /// URL to which records are posted.
        url: WebhookUrl,
        /// Description.
        description: Option<Text<256>>,
    },
}

/// Changes to a target. Those of the other type are ignored.
#[derive(Debug)]
pub struct TargetChanges {
    /// URL of a webhook.
    pub url: Option<WebhookUrl>,
    /// Description of a webhook.
    pub description: Patch<Text<256>>,
    /// Region of a bus.
    pub region: Option<Region>,
    /// Name or ARN of a bus.
    pub event_bus_name: Option<BusName>,
    /// Credentials of a bus.
    pub credentials: Option<AwsCredentials>,
}

/// Reason why a connection cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// AWS refused the credentials or the bus.
    #[error("{refusal}")]
    Refused {
        /// Reason.
        refusal: ConnectionRefused,
        /// IAM policy that the credentials need.
        policy: Box<serde_json::Value>,
    },
    /// The bus ARN names another region.
    #[error("must name a bus in `region`")]
    OtherRegion,
    /// The URL is not allowed.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// KMS failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Connections {
    /// Checks a new target, encrypts its credentials or secret, and returns the secret of a webhook.
    /// One KMS call, and for a bus two calls to it.
    pub async fn connect(
        &self,
        route: Route,
        target: NewTarget,
    ) -> Result<(Target, Verification, Option<Secret>), ConnectionError> {
        match target {
            NewTarget::EventBridge { region, event_bus_name, credentials } => {
                let verification = self.check_bus(route, &region, &event_bus_name, &credentials).await?;
                let masked_access_key_id = credentials.access_key_id.masked();
                let credentials = seal_credentials(&self.vault, route, 1, &credentials).await?;
                let bus = EventBridge { region, event_bus_name, masked_access_key_id, credentials };
                Ok((Target::EventBridge(bus), verification, None))
            }
            NewTarget::Webhook { url, description } => {
                self.rules.check_url(&url)?;
                let secret = new_secret()?;
                let sealed = seal_secret(&self.vault, route, 1, &secret).await?;
                let webhook = Webhook { url, description, secret: sealed, previous: Vec::new() };
                Ok((Target::Webhook(webhook), Verification::untested(), Some(secret)))
            }
        }
    }

    /// Changes a target. Returns a new verification if it leads elsewhere or has new credentials. A
    /// changed bus is checked first: two calls to it, and one or two KMS calls.
    pub async fn change(
        &self,
        route: Route,
        target: &mut Target,
        changes: TargetChanges,
    ) -> Result<Option<Verification>, ConnectionError> {
        let TargetChanges { url, description, region, event_bus_name, credentials } = changes;
        match target {
            Target::EventBridge(_) if region.is_none() && event_bus_name.is_none() && credentials.is_none() => Ok(None),
            Target::EventBridge(bus) => {
                bus.region = region.unwrap_or_else(|| bus.region.clone());
                bus.event_bus_name = event_bus_name.unwrap_or_else(|| bus.event_bus_name.clone());
                let keys = match &credentials {
                    Some(credentials) => credentials,
                    None => &open_credentials(&self.vault, route, &bus.credentials).await?,
                };
                let verification = self.check_bus(route, &bus.region, &bus.event_bus_name, keys).await?;
                if let Some(credentials) = credentials {
                    let version = bus.credentials.version + 1;
                    bus.credentials = seal_credentials(&self.vault, route, version, &credentials).await?;
                    bus.masked_access_key_id = credentials.access_key_id.masked();
                }
                Ok(Some(verification))
            }
            Target::Webhook(webhook) => {
                webhook.description = description.apply(webhook.description.take());
                let Some(url) = url.filter(|url| *url != webhook.url) else { return Ok(None) };
                self.rules.check_url(&url)?;
                webhook.url = url;
                Ok(Some(Verification::untested()))
            }
        }
    }

    /// Replaces the secret of a webhook and returns the new one. One KMS call.
    pub async fn rotate_secret(&self, route: Route, webhook: &mut Webhook) -> Result<Secret, VaultError> {
        let secret = new_secret()?;
        let sealed = seal_secret(&self.vault, route, webhook.secret.version + 1, &secret).await?;
        webhook.rotate(sealed, Timestamp::now());
        Ok(secret)
    }

    /// Returns the secret of a webhook, or none for a bus. One KMS call.
    pub async fn secret(&self, route: Route, target: &Target) -> Result<Option<Secret>, VaultError> {
        match target {
            Target::Webhook(webhook) => open_secret(&self.vault, route, &webhook.secret).await.map(Some),
            Target::EventBridge(_) => Ok(None),
        }
    }

    async fn check_bus(
        &self,
        route: Route,
        region: &Region,
        bus: &BusName,
        credentials: &AwsCredentials,
    ) -> Result<Verification, ConnectionError> {
        // The region in the settings is the one that is called.
        if bus.region().is_some_and(|named| named != region.as_str()) {
            return Err(ConnectionError::OtherRegion);
        }
        let checked = check_connection(&self.config, route.environment, (region, bus), credentials).await;
        checked.map_err(|refusal| {
            let policy = Box::new(least_privilege_policy(region, bus));
            ConnectionError::Refused { refusal, policy }
        })
    }
}
