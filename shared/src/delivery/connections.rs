//! Connections of destinations: what is checked and encrypted before a destination is saved.

use aws_config::SdkConfig;

use super::{
    eventbridge::{
        check::{Checked, ConnectionRefused, check_keys, check_role},
        credentials::{open_credentials, seal_credentials},
        roles::StsUnavailable,
    },
    guard::EgressRules,
    webhook::{new_secret, open_secret, seal_secret},
};
use crate::{
    domain::{
        defect::Defect,
        delivery::Route,
        destination::{Destination, Target, Verification},
        event_bus::{AwsCredentials, BusAccess, BusName, EventBridge, Region, least_privilege_policy},
        patch::Patch,
        role::{Principal, RoleArn},
        secret::{Sealed, Secret},
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

/// Changes to a target. Those of the other type of destination are ignored.
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

/// Target that [`Connections::validate`] accepted.
#[derive(Debug)]
pub struct ValidTarget(NewTarget);

/// Changed target that [`Connections::change`] accepted.
#[derive(Debug)]
pub struct ValidChange(Change);

/// Changed target, and what must be proven before it is saved.
#[derive(Debug)]
enum Change {
    /// Nothing. A target that leads elsewhere has a new verification: untested.
    Settled(Target, Option<Verification>),
    /// That new keys work for the bus.
    NewKeys(Region, BusName, AwsCredentials),
    /// That the stored keys work for another bus.
    StoredKeys(EventBridge, Sealed),
    /// That Tenon can assume the role of the bus.
    Role(EventBridge, RoleArn),
}

/// Changed target that [`Connections::prove`] proved.
#[derive(Debug)]
pub struct Proven {
    /// Target to save.
    pub target: Target,
    /// Verification of a target that leads elsewhere, has new credentials or was checked.
    pub verification: Option<Verification>,
    /// Whether the bus was called.
    pub was_checked: bool,
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
    /// It is not known whether Tenon can assume the role.
    #[error(transparent)]
    Unavailable(#[from] StsUnavailable),
    /// KMS failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Connections {
    /// Checks a new target as far as this needs no call. Returns all of its defects.
    pub fn validate(&self, target: NewTarget) -> Result<ValidTarget, Vec<Defect>> {
        let defects = match &target {
            NewTarget::EventBridge { region, event_bus_name, credentials } => {
                let role_arn = match credentials {
                    NewAccess::Role(role_arn) => Some(role_arn),
                    NewAccess::Keys(_) => None,
                };
                self.bus_defects(region, event_bus_name, role_arn)
            }
            NewTarget::Webhook { url, description: _ } => self.url_defects(url),
        };
        if defects.is_empty() { Ok(ValidTarget(target)) } else { Err(defects) }
    }

    /// Proves a new target, encrypts its credentials or secret, and returns the secret of a
    /// webhook. One KMS call, and for a bus with access keys two calls to it. A role makes no call:
    /// it is created with the external id that the destination has then.
    pub async fn connect(
        &self,
        route: Route,
        ValidTarget(target): ValidTarget,
    ) -> Result<(Target, Verification, Option<Secret>), ConnectionError> {
        match target {
            NewTarget::EventBridge { region, event_bus_name, credentials: NewAccess::Role(role_arn) } => {
                let bus = EventBridge { region, event_bus_name, access: BusAccess::Role { role_arn } };
                Ok((Target::EventBridge(bus), Verification::untried_role(), None))
            }
            NewTarget::EventBridge { region, event_bus_name, credentials: NewAccess::Keys(keys) } => {
                let (bus, verification) = self.connect_keys(route, 1, (region, event_bus_name), &keys).await?;
                Ok((Target::EventBridge(bus), verification, None))
            }
            NewTarget::Webhook { url, description } => {
                let secret = new_secret()?;
                let sealed = seal_secret(&self.vault, route, 1, &secret).await?;
                let webhook = Webhook { url, description, secret: sealed, previous: Vec::new() };
                Ok((Target::Webhook(webhook), Verification::untested(), Some(secret)))
            }
        }
    }

    /// Changes the target of a destination, and checks it as far as this needs no call. Returns all
    /// defects of a target that leads elsewhere, has new credentials, or is enabled with a role.
    pub fn change(
        &self,
        destination: &Destination,
        changes: TargetChanges,
        enabling: bool,
    ) -> Result<ValidChange, Vec<Defect>> {
        let (change, defects) = match &destination.target {
            Target::EventBridge(bus) => self.change_bus(bus.clone(), changes, destination.enabled, enabling),
            Target::Webhook(webhook) => self.change_webhook(webhook.clone(), changes),
        };
        if defects.is_empty() { Ok(ValidChange(change)) } else { Err(defects) }
    }

    fn change_bus(
        &self,
        mut bus: EventBridge,
        TargetChanges { region, event_bus_name, credentials, url: _, description: _ }: TargetChanges,
        enabled: bool,
        enabling: bool,
    ) -> (Change, Vec<Defect>) {
        let moved = region.as_ref().is_some_and(|region| *region != bus.region)
            || event_bus_name.as_ref().is_some_and(|name| *name != bus.event_bus_name);
        bus.region = region.unwrap_or(bus.region);
        bus.event_bus_name = event_bus_name.unwrap_or(bus.event_bus_name);
        let renewed = credentials.is_some();
        match credentials {
            Some(NewAccess::Keys(keys)) => {
                let defects = self.bus_defects(&bus.region, &bus.event_bus_name, None);
                return (Change::NewKeys(bus.region, bus.event_bus_name, keys), defects);
            }
            Some(NewAccess::Role(role_arn)) => bus.access = BusAccess::Role { role_arn },
            None => {}
        }
        match bus.access.clone() {
            BusAccess::Keys { credentials, masked_access_key_id: _ } if moved => {
                let defects = self.bus_defects(&bus.region, &bus.event_bus_name, None);
                (Change::StoredKeys(bus, credentials), defects)
            }
            BusAccess::Role { role_arn } if renewed || enabling || moved => {
                let defects = self.bus_defects(&bus.region, &bus.event_bus_name, Some(&role_arn));
                if renewed || enabling || enabled {
                    (Change::Role(bus, role_arn), defects)
                } else {
                    (Change::Settled(Target::EventBridge(bus), Some(Verification::untried_role())), defects)
                }
            }
            BusAccess::Keys { .. } | BusAccess::Role { .. } => {
                (Change::Settled(Target::EventBridge(bus), None), vec![])
            }
        }
    }

    fn change_webhook(
        &self,
        mut webhook: Webhook,
        TargetChanges { url, description, region: _, event_bus_name: _, credentials: _ }: TargetChanges,
    ) -> (Change, Vec<Defect>) {
        webhook.description = description.apply(webhook.description);
        let Some(url) = url.filter(|url| *url != webhook.url) else {
            return (Change::Settled(Target::Webhook(webhook), None), vec![]);
        };
        let defects = self.url_defects(&url);
        webhook.url = url;
        (Change::Settled(Target::Webhook(webhook), Some(Verification::untested())), defects)
    }

    /// Proves a changed target and encrypts new keys for a version of the destination. Two calls to
    /// a bus that needs proof; with keys one or two KMS calls, with a role four calls to STS. A
    /// role that is not used yet needs no proof.
    pub async fn prove(
        &self,
        route: Route,
        version: u32,
        ValidChange(change): ValidChange,
    ) -> Result<Proven, ConnectionError> {
        let (bus, verification) = match change {
            Change::Settled(target, verification) => return Ok(Proven { target, verification, was_checked: false }),
            Change::NewKeys(region, event_bus_name, keys) => {
                self.connect_keys(route, version, (region, event_bus_name), &keys).await?
            }
            Change::StoredKeys(bus, credentials) => {
                let keys = open_credentials(&self.vault, route, &credentials).await?;
                let verification = self.check_keys(route, (&bus.region, &bus.event_bus_name), &keys).await?;
                (bus, verification)
            }
            Change::Role(bus, role_arn) => match self.check_role(route, &bus, &role_arn).await?.result {
                Ok(verification) => (bus, verification),
                Err(refusal) => return Err(refused(refusal, bus.least_privilege_policy())),
            },
        };
        Ok(Proven { target: Target::EventBridge(bus), verification: Some(verification), was_checked: true })
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
        Ok(check_role(&self.config, route, bus, role_arn).await?)
    }

    /// Checks the keys of a bus and encrypts them for a version of the destination.
    async fn connect_keys(
        &self,
        route: Route,
        version: u32,
        (region, event_bus_name): (Region, BusName),
        keys: &AwsCredentials,
    ) -> Result<(EventBridge, Verification), ConnectionError> {
        let verification = self.check_keys(route, (&region, &event_bus_name), keys).await?;
        let credentials = seal_credentials(&self.vault, route, version, keys).await?;
        let access = BusAccess::Keys { masked_access_key_id: keys.access_key_id.masked(), credentials };
        Ok((EventBridge { region, event_bus_name, access }, verification))
    }

    async fn check_keys(
        &self,
        route: Route,
        (region, bus): (&Region, &BusName),
        keys: &AwsCredentials,
    ) -> Result<Verification, ConnectionError> {
        let checked = check_keys(&self.config, route.environment, (region, bus), keys).await;
        checked.result.map_err(|refusal| refused(refusal, least_privilege_policy(region, bus, "*")))
    }

    fn bus_defects(&self, region: &Region, bus: &BusName, role: Option<&RoleArn>) -> Vec<Defect> {
        let region_error = bus.check_region(region).err();
        let role_error = role.and_then(|role| role.check(&self.principal, region, bus).err());
        let of_bus = region_error.map(|error| Defect::new(&["eventBusName"], error.to_string()));
        let of_role = role_error.map(|error| Defect::new(&["credentials", "roleArn"], error.to_string()));
        of_bus.into_iter().chain(of_role).collect()
    }

    fn url_defects(&self, url: &WebhookUrl) -> Vec<Defect> {
        let error = self.rules.check_url(url).err();
        error.map(|error| Defect::new(&["url"], error.to_string())).into_iter().collect()
    }
}

fn refused(refusal: ConnectionRefused, policy: serde_json::Value) -> ConnectionError {
    ConnectionError::Refused { refusal, policy: Box::new(policy) }
}
