//! EventBridge buses: the region, the name and the access to the account of a bus that receives
//! records.

use serde::{Deserialize, Serialize};

use super::{
    arn::Arn,
    role::RoleArn,
    secret::{Sealed, Secret},
    text::string_newtype,
};

/// Amazon EventBridge bus of the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventBridge {
    /// Region of the bus.
    pub region: Region,
    /// Name or ARN of the bus.
    pub event_bus_name: BusName,
    /// Access to the customer's account.
    #[serde(flatten)]
    pub access: BusAccess,
}

/// Access to the account of a bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum BusAccess {
    /// Access keys of the customer.
    Keys {
        /// Displayed form of the access key id: its first and last four characters.
        masked_access_key_id: String,
        /// Encrypted [`AwsCredentials`].
        credentials: Sealed,
    },
    /// Role that Tenon assumes.
    Role {
        /// ARN of the role.
        role_arn: RoleArn,
    },
}

impl EventBridge {
    /// Returns the least-privilege IAM policy for the customer's keys or role.
    pub fn least_privilege_policy(&self) -> serde_json::Value {
        let account = match &self.access {
            BusAccess::Keys { .. } => "*",
            BusAccess::Role { role_arn } => role_arn.account(),
        };
        least_privilege_policy(&self.region, &self.event_bus_name, account)
    }
}

/// Returns the least-privilege IAM policy document for a bus of an account, or `*` if the access
/// keys determine the account.
pub fn least_privilege_policy(region: &Region, bus: &BusName, account: &str) -> serde_json::Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["events:PutEvents", "events:DescribeEventBus"],
            "Resource": bus.arn(region, account),
        }]
    })
}

/// AWS access keys of the customer. They are stored in encrypted form only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentials {
    /// Access key id.
    pub access_key_id: AccessKeyId,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token, for temporary keys.
    pub session_token: Option<Secret>,
}

string_newtype! {
    /// AWS region such as `eu-central-1`. The pattern is strict because the region becomes part of
    /// a host name.
    Region,
    /// Error for a text that is not an AWS region.
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
    /// AWS access key id. Only the form is checked; AWS validates the key.
    AccessKeyId,
    /// Error for a text that is not an access key id.
    #[error("must be 12 to 128 letters, digits or underscores")]
    AccessKeyIdError,
    "^[A-Za-z0-9_]{12,128}$",
    |text| (12..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl AccessKeyId {
    /// Returns the displayed form: the first and last four characters.
    pub fn masked(&self) -> String {
        // The id has at least 12 ASCII characters: both slices exist, and at least four characters
        // stay hidden.
        format!("{}…{}", self.0.get(..4).unwrap_or_default(), self.0.get(self.0.len() - 4..).unwrap_or_default())
    }
}

string_newtype! {
    /// Name or ARN of an event bus.
    BusName,
    /// Error for a text that is not an event bus.
    #[error("must be the name of an event bus (1 to 256 of A-Z a-z 0-9 . - _ /) or its ARN")]
    BusNameError,
    r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[/\.\-_A-Za-z0-9]{1,256}$",
    |text| match Arn::parse(text) {
        None => is_bus(text),
        Some(Arn { service, region, resource, .. }) => {
            service == "events" && is_region(region) && resource.strip_prefix("event-bus/").is_some_and(is_bus)
        }
    }
}

/// Error for the ARN of a bus in another region than that of the destination, which is the one that
/// is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must name a bus in `region`")]
pub struct OtherRegion;

fn is_bus(name: &str) -> bool {
    (1..=256).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/.-_".contains(&b))
}

impl BusName {
    /// Checks that the bus is in a region, as every bus without an ARN is.
    pub fn check_region(&self, region: &Region) -> Result<(), OtherRegion> {
        let contains = |arn: Arn<'_>| arn.region == region.as_str() && arn.partition == region.partition();
        if Arn::parse(&self.0).is_none_or(contains) { Ok(()) } else { Err(OtherRegion) }
    }

    /// Returns the account of an ARN, or `None` for a plain name.
    pub fn account(&self) -> Option<&str> {
        Some(Arn::parse(&self.0)?.account)
    }

    /// Returns the ARN of the bus. A plain name is that of a bus of this account, which may be `*`:
    /// keys determine it.
    fn arn(&self, region: &Region, account: &str) -> String {
        if self.0.starts_with("arn:") {
            return self.0.clone();
        }
        format!("arn:{}:events:{region}:{account}:event-bus/{}", region.partition(), self.0)
    }
}

impl Region {
    /// Returns the partition of AWS that contains the region.
    pub(super) fn partition(&self) -> &'static str {
        let of = |(prefix, partition): &(&str, &'static str)| self.0.starts_with(prefix).then_some(*partition);
        PARTITIONS.iter().find_map(of).unwrap_or("aws")
    }
}

/// Partitions by the prefix of their regions (`partitions.json` of the AWS SDKs). All other regions
/// are in `aws`.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("eusc-", "aws-eusc"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("us-isof-", "aws-iso-f"),
    ("eu-isoe-", "aws-iso-e"),
];

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
    fn bus_is_in_the_region_and_its_partition() {
        let check = |bus: &str, region: &str| bus.parse::<BusName>().unwrap().check_region(&region.parse().unwrap());
        let arn = |place: &str| format!("arn:{place}:222222222222:event-bus/errors");
        assert_eq!(check("errors", "us-east-1"), Ok(()));
        assert_eq!(check(&arn("aws:events:us-east-1"), "us-east-1"), Ok(()));
        assert_eq!(check(&arn("aws-cn:events:cn-north-1"), "cn-north-1"), Ok(()));
        for other in ["aws:events:us-east-2", "aws-cn:events:us-east-1", "aws-us-gov:events:us-east-1"] {
            assert_eq!(check(&arn(other), "us-east-1"), Err(OtherRegion), "{other}");
        }
    }

    #[test]
    fn bus_is_a_name_or_an_arn() {
        for text in ["errors", "arn:aws:events:us-east-1:222222222222:event-bus/errors"] {
            assert!(text.parse::<BusName>().is_ok(), "{text}");
        }
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
        let arn = |name: &str, account| name.parse::<BusName>().unwrap().arn(&region, account);
        assert_eq!(arn("errors", "*"), "arn:aws:events:eu-west-1:*:event-bus/errors");
        let whole = "arn:aws:events:eu-west-1:222222222222:event-bus/errors";
        assert_eq!(arn("errors", "222222222222"), whole);
        assert_eq!(arn(whole, "*"), whole);
    }

    #[test]
    fn iam_policy_names_the_partition_of_the_region() {
        let bus: BusName = "errors".parse().unwrap();
        for (region, partition) in [
            ("us-east-1", "aws"),
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            let arn = bus.arn(&region.parse().unwrap(), "*");
            assert_eq!(arn, format!("arn:{partition}:events:{region}:*:event-bus/errors"));
        }
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
