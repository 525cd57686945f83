//! IAM roles of customers that Tenon assumes instead of using access keys, and what they must
//! trust.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    arn::Arn,
    delivery::Route,
    event_bus::{BusName, Region},
    text::string_newtype,
};

string_newtype! {
    /// ARN of an IAM role.
    RoleArn,
    /// Error for a text that is not the ARN of a role.
    #[error("must be the ARN of an IAM role such as arn:aws:iam::111122223333:role/tenon")]
    RoleArnError,
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]{1,510}/)?[A-Za-z0-9+=,.@_-]{1,64}$",
    |text| iam_resource(text).and_then(|resource| resource.strip_prefix("role/")).is_some_and(is_role)
}

/// Returns the resource of an ARN of IAM.
fn iam_resource(arn: &str) -> Option<&str> {
    Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.region.is_empty()).map(|arn| arn.resource)
}

/// Returns whether a text is the name of a role, with or without a path.
fn is_role(text: &str) -> bool {
    let (path, name) = text.rsplit_once('/').map_or((None, text), |(path, name)| (Some(path), name));
    path.is_none_or(|path| (1..=510).contains(&path.len()) && path.bytes().all(|b| b.is_ascii_graphic()))
        && (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}

impl RoleArn {
    /// Returns the id of the account that owns the role.
    pub fn account(&self) -> &str {
        Arn::parse(&self.0).map_or("", |arn| arn.account)
    }

    fn partition(&self) -> &str {
        Arn::parse(&self.0).map_or("", |arn| arn.partition)
    }

    /// Checks that Tenon can assume the role for a bus in the region: it belongs to another account
    /// of Tenon's partition, and owns the bus.
    pub fn check(&self, principal: &Principal, region: &Region, bus: &BusName) -> Result<(), RoleError> {
        if self.account() == principal.account() {
            return Err(RoleError::OwnAccount);
        }
        let partitions = [principal.partition(), region.partition()];
        if partitions.iter().any(|partition| *partition != self.partition()) {
            return Err(RoleError::OtherPartition);
        }
        if bus.account().is_some_and(|account| account != self.account()) {
            return Err(RoleError::OtherAccount);
        }
        Ok(())
    }
}

/// Reason why Tenon does not assume a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Tenon's own account owns the role. A caller could use Tenon to act with it.
    #[error("must not be a role of the account in which Tenon runs")]
    OwnAccount,
    /// No role can be assumed from another partition.
    #[error("must be a role of the AWS partition of Tenon and of the event bus")]
    OtherPartition,
    /// The ARN of the bus names another account.
    #[error("must be a role of the account of the event bus")]
    OtherAccount,
}

string_newtype! {
    /// ARN of the account in which Tenon runs, `arn:{partition}:iam::{account}:root`. It assumes
    /// the roles.
    Principal,
    /// Error for a text that is not the ARN of an account.
    #[error("must be the ARN of an account")]
    PrincipalError,
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:root$",
    |text| iam_resource(text) == Some("root")
}

impl Principal {
    fn account(&self) -> &str {
        Arn::parse(&self.0).map_or("", |arn| arn.account)
    }

    fn partition(&self) -> &str {
        Arn::parse(&self.0).map_or("", |arn| arn.partition)
    }
}

/// External id with which Tenon assumes the role of a destination. The trust policy of the role
/// requires it, so that no other destination can use the role (AWS: the confused deputy problem).
///
/// It is a digest of the destination's random id, so that every destination has one, and no caller
/// can choose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExternalId(String);

impl ExternalId {
    /// Returns the external id of a destination: 40 hex digits.
    pub fn of(Route { environment, destination }: Route) -> Self {
        let id = digest(&SHA256, format!("external id/{environment}/{destination}").as_bytes());
        Self(hex::encode(id).chars().take(40).collect())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns external ids that differ from this one: one in the middle, the other one around it.
    /// A trust policy with a pattern instead of the external id accepts one of them, unless the
    /// pattern is nearly as long as the external id.
    pub fn similar(&self) -> [Self; 2] {
        // Differs from each hex digit.
        let other = |digit: char| if digit == '0' { '1' } else { '0' };
        [true, false].map(|middle| {
            let digits = self.0.chars().enumerate();
            Self(
                digits.map(|(at, digit)| if (12..28).contains(&at) == middle { other(digit) } else { digit }).collect(),
            )
        })
    }

    /// Returns the policy that a role must have to be assumed by Tenon for this destination only.
    pub fn trust_policy(&self, principal: &Principal) -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": self}},
            }]
        })
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl utoipa::PartialSchema for ExternalId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| schema.pattern(Some("^[0-9a-f]{40}$")))
    }
}

impl utoipa::ToSchema for ExternalId {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::ObjectId;

    fn route() -> impl Strategy<Value = Route> {
        any::<(u32, [u8; 8], [u8; 8])>().prop_map(|(second, environment, destination)| {
            let at = crate::domain::timestamp::Timestamp::from_seconds(second);
            let [environment, destination] = [environment, destination].map(|random| ObjectId::of(at, random));
            Route { environment: environment.into(), destination: destination.into() }
        })
    }

    #[test]
    fn only_arns_of_roles_are_accepted() {
        for text in [
            "arn:aws:iam::222222222222:role/tenon",
            "arn:aws-us-gov:iam::222222222222:role/a/b/c+=,.@_-9",
            "arn:aws-cn:iam::222222222222:role/x",
        ] {
            let role: RoleArn = text.parse().unwrap();
            assert_eq!(role.account(), "222222222222");
        }
        let long = format!("arn:aws:iam::222222222222:role/{}", "x".repeat(65));
        for text in [
            "",
            "tenon",
            "arn:aws:iam::222222222222:user/tenon",
            "arn:aws:iam::222222222222:role/",
            "arn:aws:iam::222222222222:role//x",
            "arn:aws:iam::222222222222:role/a b/x",
            "arn:aws:iam::22222222222:role/x",
            "arn:aws:iam:us-east-1:222222222222:role/x",
            "arn:aws:sts::222222222222:assumed-role/x/y",
            "arn:evil:iam::222222222222:role/x",
            "arn:aws:iam::222222222222:role/x\n",
            &long,
        ] {
            assert_eq!(text.parse::<RoleArn>(), Err(RoleArnError), "{text}");
        }
    }

    #[test]
    fn role_belongs_to_another_account_of_the_partition_and_owns_the_bus() {
        let principal: Principal = "arn:aws:iam::111111111111:root".parse().unwrap();
        let check = |role: &str, region: &str, bus: &str| {
            let (region, bus) = (region.parse().unwrap(), bus.parse().unwrap());
            role.parse::<RoleArn>().unwrap().check(&principal, &region, &bus)
        };
        let role = "arn:aws:iam::222222222222:role/tenon";
        assert_eq!(check(role, "eu-west-1", "errors"), Ok(()));
        assert_eq!(check(role, "eu-west-1", "arn:aws:events:eu-west-1:222222222222:event-bus/errors"), Ok(()));
        for (role, region, bus, error) in [
            ("arn:aws:iam::111111111111:role/tenon", "eu-west-1", "errors", RoleError::OwnAccount),
            ("arn:aws-cn:iam::111111111111:role/tenon", "cn-north-1", "errors", RoleError::OwnAccount),
            ("arn:aws-cn:iam::222222222222:role/tenon", "cn-north-1", "errors", RoleError::OtherPartition),
            (role, "us-gov-west-1", "errors", RoleError::OtherPartition),
            (role, "eu-west-1", "arn:aws:events:eu-west-1:333333333333:event-bus/errors", RoleError::OtherAccount),
        ] {
            assert_eq!(check(role, region, bus), Err(error), "{role} {region} {bus}");
        }
    }

    proptest! {
        #[test]
        fn each_destination_has_an_external_id_of_its_own(one in route(), other in route()) {
            prop_assert_eq!(ExternalId::of(one), ExternalId::of(one));
            prop_assert_eq!(one == other, ExternalId::of(one) == ExternalId::of(other));
            for similar in ExternalId::of(one).similar() {
                prop_assert_ne!(similar, ExternalId::of(one));
            }
            // AWS: 2 to 1,224 characters.
            prop_assert_eq!(ExternalId::of(one).as_str().len(), 40);
        }

        #[test]
        fn accepted_roles_contain_no_characters_that_break_a_policy(text in "arn:aws:iam::222222222222:role/\\PC{0,40}") {
            if text.parse::<RoleArn>().is_ok() {
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
