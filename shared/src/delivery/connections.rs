//! Connections of destinations: what is checked and encrypted before a destination is saved.

use aws_config::SdkConfig;

use super::{
    eventbridge::{
        check::{Checked, ConnectionRefused, check_keys, check_role},
        credentials::{open_credentials, seal_credentials},
        roles::StsUnavailable,
    },
    guard::{EgressRules, Forbidden},
    webhook::{new_secret, open_secret, seal_secret},
};
use crate::{
    domain::{
        delivery::Route,
        destination::{
            AwsCredentials, BusAccess, BusName, Destination, EventBridge, Region, Target, Verification,
            least_privilege_policy,
        },
        patch::Patch,
        role::{Principal, RoleArn, RoleError},
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
    /// Account in which Tenon runs.
    pub principal: Principal,
}

/// Access to the account of a bus before it is saved.
#[derive(Clone, Debug)]
pub enum NewAccess {
    /// Access keys in plaintext.
    Keys(AwsCredentials),
    /// Role.
    Role(RoleArn),
}

/// Target before it is saved.
#[derive(Debug)]
pub enum NewTarget {
    /// Bus.
    EventBridge {
        /// Region of the bus.
        region: Region,
        /// Name or ARN of the bus, in this region.
        event_bus_name: BusName,
        /// Keys or role that may put events on the bus.
        credentials: NewAccess,
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
    /// Keys or role of a bus.
    pub credentials: Option<NewAccess>,
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
    /// Tenon does not assume the role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// It is not known whether Tenon can assume the role.
    #[error(transparent)]
    Unavailable(#[from] StsUnavailable),
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
    /// One KMS call, and for a bus with access keys two calls to it. A role makes no call: it is created
    /// with the external id that the destination has then.
    pub async fn connect(
        &self,
        route: Route,
        target: NewTarget,
    ) -> Result<(Target, Verification, Option<Secret>), ConnectionError> {
        match target {
            NewTarget::EventBridge { region, event_bus_name, credentials: NewAccess::Role(role_arn) } => {
                check_region(&region, &event_bus_name)?;
                role_arn.check(&self.principal, &region, &event_bus_name)?;
                let bus = EventBridge { region, event_bus_name, access: BusAccess::Role { role_arn } };
                Ok((Target::EventBridge(bus), Verification::untried_role(), None))
            }
            NewTarget::EventBridge { region, event_bus_name, credentials: NewAccess::Keys(keys) } => {
                let verification = self.check_keys(route, (&region, &event_bus_name), &keys).await?;
                let access = self.seal(route, 1, &keys).await?;
                let bus = EventBridge { region, event_bus_name, access };
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

    /// Changes the target of a destination. Returns a new verification if it leads elsewhere, has new
    /// credentials, or is enabled with a role. A changed bus is checked first: two calls to it; with keys
    /// one or two KMS calls, with a role four calls to STS. A role that is not used yet is not checked.
    pub async fn change(
        &self,
        route: Route,
        destination: &mut Destination,
        changes: TargetChanges,
        enabling: bool,
    ) -> Result<Option<Verification>, ConnectionError> {
        let TargetChanges { url, description, region, event_bus_name, credentials } = changes;
        match &mut destination.target {
            Target::EventBridge(bus) => {
                let renewed = credentials.is_some();
                let moved = region.as_ref().is_some_and(|region| *region != bus.region)
                    || event_bus_name.as_ref().is_some_and(|name| *name != bus.event_bus_name);
                bus.region = region.unwrap_or_else(|| bus.region.clone());
                bus.event_bus_name = event_bus_name.unwrap_or_else(|| bus.event_bus_name.clone());
                if let Some(NewAccess::Keys(keys)) = credentials {
                    let verification = self.check_keys(route, (&bus.region, &bus.event_bus_name), &keys).await?;
                    bus.access = self.seal(route, destination.version + 1, &keys).await?;
                    return Ok(Some(verification));
                }
                if let Some(NewAccess::Role(role_arn)) = credentials {
                    bus.access = BusAccess::Role { role_arn };
                }
                match &bus.access {
                    BusAccess::Keys { credentials, .. } if moved => {
                        let keys = open_credentials(&self.vault, route, credentials).await?;
                        self.check_keys(route, (&bus.region, &bus.event_bus_name), &keys).await.map(Some)
                    }
                    BusAccess::Role { role_arn } if renewed || enabling || (moved && destination.enabled) => {
                        let checked = self.check_role(route, bus, role_arn).await?;
                        checked.result.map(Some).map_err(|refusal| refused(refusal, bus.least_privilege_policy()))
                    }
                    BusAccess::Role { role_arn } if moved => {
                        check_region(&bus.region, &bus.event_bus_name)?;
                        role_arn.check(&self.principal, &bus.region, &bus.event_bus_name)?;
                        Ok(Some(Verification::untried_role()))
                    }
                    BusAccess::Keys { .. } | BusAccess::Role { .. } => Ok(None),
                }
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

    /// Checks the role of a bus, with four calls to STS and two to the bus.
    pub async fn check_role(
        &self,
        route: Route,
        bus: &EventBridge,
        role_arn: &RoleArn,
    ) -> Result<Checked, ConnectionError> {
        check_region(&bus.region, &bus.event_bus_name)?;
        role_arn.check(&self.principal, &bus.region, &bus.event_bus_name)?;
        Ok(check_role(&self.config, route, bus, role_arn).await?)
    }

    async fn check_keys(
        &self,
        route: Route,
        (region, bus): (&Region, &BusName),
        keys: &AwsCredentials,
    ) -> Result<Verification, ConnectionError> {
        check_region(region, bus)?;
        let checked = check_keys(&self.config, route.environment, (region, bus), keys).await;
        checked.result.map_err(|refusal| refused(refusal, least_privilege_policy(region, bus, "*")))
    }

    async fn seal(&self, route: Route, version: u32, keys: &AwsCredentials) -> Result<BusAccess, VaultError> {
        let credentials = seal_credentials(&self.vault, route, version, keys).await?;
        Ok(BusAccess::Keys { masked_access_key_id: keys.access_key_id.masked(), credentials })
    }
}

/// Checks that the region in the settings, which is the one that is called, is that of the bus.
fn check_region(region: &Region, bus: &BusName) -> Result<(), ConnectionError> {
    if bus.is_in(region) { Ok(()) } else { Err(ConnectionError::OtherRegion) }
}

fn refused(refusal: ConnectionRefused, policy: serde_json::Value) -> ConnectionError {
    ConnectionError::Refused { refusal, policy: Box::new(policy) }
}
