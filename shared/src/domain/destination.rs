//! Destinations: where the errors of an environment are sent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error_log::{EngineText, ErrorLog},
    id::{DestinationId, UserId, WorkflowId},
    secret::{Sealed, Secret},
    text::string_newtype,
    timestamp::Timestamp,
    webhook::Webhook,
};

/// The most destinations of an environment.
pub const MAX_DESTINATIONS: u32 = 20;

/// A destination as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// Its id.
    pub destination_id: DestinationId,
    /// Grows with every change, so that two changes at once do not undo each other and clients are cached by it.
    pub version: u32,
    /// The toggle: whether errors are sent.
    pub enabled: bool,
    /// Why it was switched off, where Tenon did it.
    pub disabled_reason: Option<String>,
    /// The errors to which it is limited.
    pub filter: Filter,
    /// Where to, and by which means.
    pub target: Target,
    /// What was proven of the connection when the target was last saved.
    pub verification: Verification,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Destination {
    /// Whether this error is to be sent there now.
    pub fn accepts(&self, error: &ErrorLog) -> bool {
        self.enabled && self.filter.matches(error.workflow_id, error.user_id, &error.block_type)
    }
}

/// What is known of a connection that was checked, and was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether it is proven that errors will arrive.
    pub verified: bool,
    /// What was proven, or why it was not, in words.
    pub reason: String,
}

impl Verification {
    /// Of a webhook that nothing was sent to yet.
    pub fn untested() -> Self {
        Self { verified: false, reason: "nothing was sent there yet: send a test event".into() }
    }
}

/// The means by which a destination is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A customer's own Amazon EventBridge bus.
    EventBridge(EventBridge),
    /// A customer's own HTTP endpoint.
    Webhook(Webhook),
}

/// A customer's own Amazon EventBridge bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventBridge {
    /// The bus's region.
    pub region: Region,
    /// The bus, by name or ARN.
    pub event_bus_name: BusName,
    /// What is shown of the access key id: its first and last four characters.
    pub masked_access_key_id: String,
    /// The [`AwsCredentials`], encrypted.
    pub credentials: Sealed,
}

impl EventBridge {
    /// The policy with the least that Tenon needs of the customer's keys, as an IAM policy document.
    pub fn least_privilege_policy(&self) -> serde_json::Value {
        least_privilege_policy(&self.region, &self.event_bus_name)
    }
}

/// The least-privilege IAM policy for keys that put events on a bus.
pub fn least_privilege_policy(region: &Region, bus: &BusName) -> serde_json::Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["events:PutEvents", "events:DescribeEventBus"],
            "Resource": bus.arn(region),
        }]
    })
}

/// The AWS keys of a customer. They are stored as a [`Sealed`] and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentials {
    /// Which key it is.
    pub access_key_id: AccessKeyId,
    /// The key.
    pub secret_access_key: Secret,
    /// What temporary keys have beside it.
    pub session_token: Option<Secret>,
}

/// The errors to which a destination is limited. A list that is empty or absent does not limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Only errors of these workflows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub workflow_id: Vec<WorkflowId>,
    /// Only errors of these users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub user_id: Vec<UserId>,
    /// Only errors of these kinds of block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub block_type: Vec<EngineText>,
}

/// The most entries of each list of a filter.
pub const MAX_FILTER_ENTRIES: usize = 100;

impl Filter {
    /// Whether an error of this workflow, user and kind of block is one of these.
    pub fn matches(&self, workflow: WorkflowId, user: UserId, block_type: &EngineText) -> bool {
        fn contains<T: PartialEq>(list: &[T], value: &T) -> bool {
            list.is_empty() || list.contains(value)
        }
        contains(&self.workflow_id, &workflow)
            && contains(&self.user_id, &user)
            && contains(&self.block_type, block_type)
    }
}

string_newtype! {
    /// An AWS region, such as `eu-central-1`. It becomes a part of a host name, so that nothing else may be in it.
    Region,
    /// Why a text is not a region.
    #[error("must be an AWS region such as us-east-1")]
    RegionError,
    "^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$",
    is_region
}

fn is_region(text: &str) -> bool {
    let letters = |part: &str, max| (2..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., number] = &parts[..] else {
        return false;
    };
    letters(first, 4)
        && (1..=3).contains(&middle.len())
        && middle.iter().all(|part| letters(part, 12))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

string_newtype! {
    /// An AWS access key id. AWS decides what it is worth.
    AccessKeyId,
    /// Why a text is not an access key id.
    #[error("must have 12 to 128 letters, digits or underscores")]
    AccessKeyIdError,
    "^[A-Za-z0-9_]{12,128}$",
    |text| (12..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl AccessKeyId {
    /// What may be shown of it: its first and last four characters.
    pub fn masked(&self) -> String {
        // At least 12 ASCII characters, so that both slices exist and four characters or more stay hidden.
        format!("{}…{}", self.0.get(..4).unwrap_or_default(), self.0.get(self.0.len() - 4..).unwrap_or_default())
    }
}

string_newtype! {
    /// An event bus, by name or ARN.
    BusName,
    /// Why a text is not an event bus.
    #[error("must be the name of an event bus (1 to 256 of A-Z a-z 0-9 . - _ /) or its ARN")]
    BusNameError,
    r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[/\.\-_A-Za-z0-9]{1,256}$",
    |text| match text.strip_prefix("arn:") {
        None => is_bus(text),
        Some(rest) => {
            let parts: Vec<&str> = rest.split(':').collect();
            matches!(parts[..], [partition, "events", region, account, resource]
                if is_partition(partition) && is_region(region)
                    && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
                    && resource.strip_prefix("event-bus/").is_some_and(is_bus))
        }
    }
}

fn is_bus(name: &str) -> bool {
    (1..=256).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.-_".contains(&b))
}

fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

impl BusName {
    /// The region that an ARN names; a plain name has none.
    pub fn region(&self) -> Option<&str> {
        self.0.strip_prefix("arn:")?.split(':').nth(2)
    }

    /// The bus's ARN; where only a name was given, with `*` for the account, which the keys decide.
    fn arn(&self, region: &Region) -> String {
        if self.0.starts_with("arn:") {
            return self.0.clone();
        }
        let partition = match region.as_str() {
            r if r.starts_with("cn-") => "aws-cn",
            r if r.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!("arn:{partition}:events:{region}:*:event-bus/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_well_formed_regions_are_accepted() {
        for text in ["us-east-1", "eu-central-2", "ap-southeast-4", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"] {
            assert!(text.parse::<Region>().is_ok(), "{text}");
        }
        for text in [
            "",
            "us",
            "us-east",
            "us-east-1.evil.example",
            "us-east-1/",
            "US-EAST-1",
            "us-east-1@x",
            "us--1",
            "us-east-123",
        ] {
            assert_eq!(text.parse::<Region>(), Err(RegionError), "{text}");
        }
    }

    #[test]
    fn bus_is_a_name_or_an_arn() {
        let arn = "arn:aws:events:us-east-1:222222222222:event-bus/errors";
        assert_eq!(arn.parse::<BusName>().unwrap().region(), Some("us-east-1"));
        assert_eq!("errors".parse::<BusName>().unwrap().region(), None);
        for text in [
            "",
            "a b",
            "a:b",
            "arn:aws:events:us-east-1:2:event-bus/x",
            "arn:aws:sqs:us-east-1:222222222222:event-bus/x",
        ] {
            assert_eq!(text.parse::<BusName>(), Err(BusNameError), "{text}");
        }
    }

    #[test]
    fn iam_policy_is_limited_to_the_bus() {
        let region: Region = "eu-west-1".parse().unwrap();
        let arn = |name: &str| name.parse::<BusName>().unwrap().arn(&region);
        assert_eq!(arn("errors"), "arn:aws:events:eu-west-1:*:event-bus/errors");
        let whole = "arn:aws:events:eu-west-1:222222222222:event-bus/errors";
        assert_eq!(arn(whole), whole);
    }

    #[test]
    fn access_key_id_is_masked() {
        let id: AccessKeyId = "AKIAIOSFODNN7EXAMPLE".parse().unwrap();
        assert_eq!(id.masked(), "AKIA…MPLE");
    }

    #[test]
    fn credentials_are_redacted_in_debug_output() {
        let credentials = AwsCredentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            secret_access_key: "wJalrXUtnFEMI".parse().unwrap(),
            session_token: Some("IQoJb3JpZ2lu".parse().unwrap()),
        };
        let debug = format!("{credentials:?}");
        assert!(!debug.contains("wJalr") && !debug.contains("IQoJ"), "{debug}");
    }

    proptest! {
        #[test]
        fn region_cannot_contain_host_delimiters(text in "\\PC{0,40}") {
            if text.parse::<Region>().is_ok() {
                prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }
    }
}
