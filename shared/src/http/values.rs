//! Values of members and parameters: how each type is read from JSON.

use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr};

use serde_json::Value;

use super::{Bounded, FromJson, Location};
use crate::domain::{
    access::TokenMode,
    api_key::Scope,
    credential::CredentialStatus,
    delivery::DeliveryStatus,
    environment::EnvironmentKind,
    event::{EventType, Subscription},
    event_bus::{AccessKeyId, BusName, Region},
    fingerprint::Fingerprint,
    form::{FieldName, FieldType, Pattern},
    id::{CredentialId, EnvironmentId, ErrorId, EventId, KeyId, UserId, WorkflowId},
    integration::{HintAction, Icon, IntegrationId},
    modal::{Color, Font, Language, Origin},
    names::{Email, UserRef, Username},
    role::RoleArn,
    secret::Secret,
    settings::Settings,
    text::Text,
    ticket::Ticket,
    timestamp::Timestamp,
    user::{MAX_METADATA_PAIRS, Metadata, TtlError, TtlSeconds, UserStatus},
    webhook::WebhookUrl,
    workflow::WorkflowKey,
};

macro_rules! from_json_by_parsing {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> FromJson for $type {
            fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
                // A number, such as a time in seconds, has the wrong form in two respects.
                if let Value::Number(number) = value
                    && let Err(error) = number.to_string().parse::<Self>()
                {
                    return location.reject(format_args!("must be a string: {error}"));
                }
                let text = location.text(value)?;
                match text.parse() {
                    Ok(value) => Some(value),
                    Err(error) if location.is_query() && text.contains(' ') => {
                        location.reject(format_args!("{error}; write a + as %2B in a query"))
                    }
                    Err(error) => location.reject(error),
                }
            }
        }
    )*};
}

from_json_by_parsing! {
    [] Email;
    [] Username;
    [] UserRef;
    [] UserId;
    [] WorkflowId;
    [] CredentialId;
    [] CredentialStatus;
    [] EnvironmentId;
    [] KeyId;
    [] EnvironmentKind;
    [] TokenMode;
    [] Scope;
    [] ErrorId;
    [] DeliveryStatus;
    [] EventId;
    [] EventType;
    [] Subscription;
    [] UserStatus;
    [] Fingerprint;
    [] IntegrationId;
    [] WorkflowKey;
    [] Icon;
    [] HintAction;
    [] FieldName;
    [] FieldType;
    [] Pattern;
    [] Origin;
    [] Language;
    [] Color;
    [] Font;
    [] WebhookUrl;
    [] Ticket;
    [] Timestamp;
    [] Region;
    [] BusName;
    [] AccessKeyId;
    [] RoleArn;
    [] Secret;
    [const MAX: usize] Text<MAX>;
}

impl FromJson for String {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        location.text(value).map(str::to_owned)
    }
}

impl FromJson for bool {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            _ => location.reject("must be true or false"),
        }
    }
}

/// Returns an integer, which in JSON may be written as `60.0` or `6e1`, if the value is one of the
/// type.
fn integer<T: FromStr>(value: &Value, location: &Location<'_>) -> Option<T> {
    match value {
        Value::String(text) if location.is_query() => text.parse().ok(),
        // An integral double is displayed as an integer.
        Value::Number(number) if number.is_f64() => number.as_f64()?.to_string().parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

impl Bounded for usize {
    fn from_json_within(value: &Value, location: &mut Location<'_>, range: RangeInclusive<usize>) -> Option<Self> {
        let number = integer(value, location).filter(|number| range.contains(number));
        number.or_else(|| location.reject(format_args!("must be an integer from {} to {}", range.start(), range.end())))
    }
}

impl<T: FromJson> Bounded for Vec<T> {
    fn from_json_within(value: &Value, location: &mut Location<'_>, range: RangeInclusive<usize>) -> Option<Self> {
        location.list(value, range)
    }
}

impl FromJson for Settings {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        location.accept(location.source(value).parse::<Self>())
    }
}

impl FromJson for TtlSeconds {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let seconds: Option<i64> = integer(value, location);
        location.accept(seconds.ok_or(TtlError).and_then(Self::try_from))
    }
}

/// Pairs to merge. Null removes a pair.
impl FromJson for BTreeMap<String, Option<String>> {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        // Those that are stored may all be removed, and as many be added.
        location.pairs(value, 2 * MAX_METADATA_PAIRS, |value, location| match value {
            Value::Null => Some(None),
            value => String::from_json(value, location).map(Some),
        })
    }
}

impl FromJson for Metadata {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        let pairs: BTreeMap<String, String> = location.pairs(value, MAX_METADATA_PAIRS, String::from_json)?;
        location.accept(Self::try_from(pairs))
    }
}
