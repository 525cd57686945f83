//! ARNs, the names of AWS resources.

/// Parts of an ARN: `arn:{partition}:{service}:{region}:{account}:{resource}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    /// Partition, such as `aws` or `aws-us-gov`.
    pub partition: &'a str,
    /// Service, such as `iam`.
    pub service: &'a str,
    /// Region; empty for a global service.
    pub region: &'a str,
    /// Account, 12 digits.
    pub account: &'a str,
    /// Resource, in a form that depends on the service.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads an ARN of a resource that belongs to an account.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else { return None };
        let is_valid = is_partition(partition) && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        is_valid.then_some(Self { partition, service, region, account, resource })
    }
}

fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_has_a_partition_of_aws_and_an_account() {
        let arn = Arn::parse("arn:aws-us-gov:iam::111122223333:role/a:b").unwrap();
        assert_eq!((arn.partition, arn.service, arn.region), ("aws-us-gov", "iam", ""));
        assert_eq!((arn.account, arn.resource), ("111122223333", "role/a:b"));
        for text in ["", "arn:aws:iam::111122223333", "arn:gcp:iam::111122223333:x", "arn:aws:iam::11112222333a:x"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
