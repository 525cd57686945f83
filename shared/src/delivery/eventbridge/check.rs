//! Checks connections to buses before they are saved, with two calls to the customer's account:
//! `DescribeEventBus`, then `PutEvents` with a test event.
//!
//! `PutEvents` alone is not sufficient: AWS reports success even if the bus does not exist
//! (aws/aws-cli#9186). The credentials do not have to allow `DescribeEventBus`; without it the
//! destination is saved as unverified.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::{config, error::ProvideErrorMetadata};

use super::{
    access_keys, client, customer, error_text, put_events,
    roles::{ProofError, Roles, StsUnavailable},
    test_entry,
};
use crate::domain::{
    delivery::{Failure, Outcome, Route},
    destination::Verification,
    event_bus::{AwsCredentials, BusName, EventBridge, Region},
    id::EnvironmentId,
    role::RoleArn,
};

/// Timeout of each call of a check. The calls that follow each other fit into the timeout of the
/// function.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Rejection of a connection by AWS. AWS would reject every error in the same way, so the
/// destination is not saved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{explanation} (AWS response: {aws_message})")]
pub struct ConnectionRefused {
    /// JSON pointer to the invalid setting.
    pub pointer: &'static str,
    /// Explanation for the customer.
    pub explanation: &'static str,
    /// Response of AWS.
    pub aws_message: String,
}

/// Credentials with which a bus is called.
#[derive(Clone, Copy, Debug)]
enum Credentials {
    Keys,
    Role,
}

impl ConnectionRefused {
    /// Maps an AWS error code to the invalid setting. Returns none for codes that no setting
    /// causes.
    fn from_code(code: &str, message: &str, credentials: Credentials) -> Option<Self> {
        use Credentials::{Keys, Role};
        let (pointer, explanation) = match (code, credentials) {
            ("ResourceNotFoundException", _) => ("/eventBusName", "event bus not found in this account and region"),
            ("AccessDeniedException" | "AccessDenied" | "NotAuthorizedForSourceException", Role) => (
                "/credentials/roleArn",
                "this role does not allow events:PutEvents on this bus: attach the policy in `policy`",
            ),
            ("AccessDeniedException" | "AccessDenied" | "NotAuthorizedForSourceException", Keys) => (
                "/credentials",
                "these credentials do not allow events:PutEvents on this bus: attach the policy in `policy`",
            ),
            ("UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId", Role) => {
                ("/region", "AWS does not accept the role here: enable the region in the account of the bus")
            }
            ("UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId", Keys) => {
                ("/credentials/accessKeyId", "AWS does not recognize this access key ID")
            }
            ("InvalidSignatureException" | "SignatureDoesNotMatch", Keys) => {
                ("/credentials/secretAccessKey", "the secret access key does not match the access key ID")
            }
            ("ExpiredTokenException" | "ExpiredToken", Keys) => {
                ("/credentials/sessionToken", "the session token has expired")
            }
            ("IncompleteSignature" | "MissingAuthenticationToken", Keys) => {
                ("/credentials", "AWS could not parse these credentials")
            }
            _ => return None,
        };
        Some(Self { pointer, explanation, aws_message: message.to_owned() })
    }
}

/// Result of a check.
#[derive(Debug)]
pub struct Checked {
    /// Outcome of the test event, or of the call to STS that failed before. None if the bus was not
    /// found.
    pub sent: Option<Outcome>,
    /// Result of the check, or the reason why the destination must not be saved.
    pub result: Result<Verification, ConnectionRefused>,
}

impl From<ConnectionRefused> for Checked {
    fn from(refusal: ConnectionRefused) -> Self {
        Self { sent: None, result: Err(refusal) }
    }
}

/// Checks access keys.
pub async fn check_keys(
    config: &SdkConfig,
    environment: EnvironmentId,
    (region, bus): (&Region, &BusName),
    keys: &AwsCredentials,
) -> Checked {
    check(config, environment, bus, (Credentials::Keys, customer(region, access_keys(keys)))).await
}

/// Checks the role of a destination: that Tenon can assume it, that its trust policy requires the
/// destination's external id, and what it permits. Four more calls than for keys, to STS.
pub async fn check_role(
    config: &SdkConfig,
    route: Route,
    bus: &EventBridge,
    role: &RoleArn,
) -> Result<Checked, StsUnavailable> {
    match Roles::new(config, CHECK_TIMEOUT).prove(route, bus, role).await {
        Ok(credentials) => {
            let customer = (Credentials::Role, customer(&bus.region, credentials));
            Ok(check(config, route.environment, &bus.event_bus_name, customer).await)
        }
        Err(ProofError::Refused(refusal, attempt)) => {
            Ok(Checked { sent: Some(Outcome::Failed(attempt, Failure::Refused)), result: Err(refusal) })
        }
        Err(ProofError::Unavailable(error)) => Err(error),
    }
}

async fn check(
    config: &SdkConfig,
    environment: EnvironmentId,
    bus: &BusName,
    (credentials, customer): (Credentials, config::Builder),
) -> Checked {
    let client = client(config, CHECK_TIMEOUT);
    let describe = client.describe_event_bus().name(bus.as_str()).customize().config_override(customer.clone());
    let described = match describe.send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let (code, message) = (error.code().unwrap_or_default().to_owned(), error_text(&error, CHECK_TIMEOUT));
            match ConnectionRefused::from_code(&code, &message, credentials) {
                // The permission to describe the bus is optional.
                Some(_) if code.starts_with("AccessDenied") => Err(message),
                Some(refusal) => return refusal.into(),
                None => Err(message),
            }
        }
    };
    let sent = put_events(&client, &customer, vec![test_entry(bus, environment)], CHECK_TIMEOUT).await.pop();
    let unverified = |reason: String| Ok(Verification { verified: false, reason });
    let result = match (&sent, described) {
        (Some(Outcome::Delivered(_)), Ok(())) => {
            Ok(Verification { verified: true, reason: "the event bus exists and accepted a test event".into() })
        }
        (Some(Outcome::Delivered(_)), Err(message)) => unverified(format!(
            "AWS accepted a test event, but also does so for an event bus that does not exist: allow \
             events:DescribeEventBus to verify the bus (AWS response: {message})"
        )),
        (Some(Outcome::Failed(attempt, _)), _) => {
            let code = attempt.response.split(':').next().unwrap_or_default();
            match ConnectionRefused::from_code(code, &attempt.response, credentials) {
                Some(refusal) => Err(refusal),
                None => unverified(format!("AWS rejected the test event: {}", attempt.response)),
            }
        }
        (Some(Outcome::Skipped) | None, _) => unverified("no test event was sent".into()),
    };
    Checked { sent, result }
}
