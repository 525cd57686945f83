//! Events: changes of users and of what they own. An event is stored together with its change,
//! whether or not a destination listens, and is then delivered like an error.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    id::{EnvironmentId, EventId, KeyId, UserId, WorkflowId},
    record::RecordKey,
    text::{nearest, string_schema},
    timestamp::Timestamp,
    workflow::EngineIntegrationId,
};

/// Event as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Event id; its timestamp is that of `created_at`, to the second.
    pub event_id: EventId,
    /// Environment of the user.
    pub environment_id: EnvironmentId,
    /// Type of the event.
    pub event_type: EventType,
    /// Time of the change.
    pub created_at: Timestamp,
    /// User who was changed, or who owns what was changed.
    pub user_id: UserId,
    /// Workflow that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<WorkflowId>,
    /// Integration of the workflow or installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<EngineIntegrationId>,
    /// Actor of the change; none if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Changed resource, as the API shows it.
    pub data: EventData,
}

/// Event as shown to callers: the same object in the API, in webhooks and on event buses.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventDocument<'a> {
    /// Event id.
    #[serde(rename = "_id")]
    pub id: EventId,
    /// Type of the event.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Time of the change.
    pub created_at: Timestamp,
    /// User who was changed, or who owns what was changed.
    pub user_id: UserId,
    /// Workflow that was changed.
    #[schema(required = true)]
    pub workflow_id: Option<WorkflowId>,
    /// Integration of the workflow or installation.
    #[schema(required = true)]
    pub integration_id: Option<&'a EngineIntegrationId>,
    /// Actor of the change.
    #[schema(required = true)]
    pub actor: Option<Actor>,
    /// Changed resource, as the API shows it after the change. Its `revision` increases with every
    /// change, so that an older event that arrives later can be recognized.
    #[schema(value_type = Object)]
    pub data: &'a RawValue,
}

impl Event {
    /// Returns the key of the event.
    pub fn key(&self) -> RecordKey {
        RecordKey::Event { user_id: self.user_id, event_id: self.event_id }
    }

    /// Returns the document that callers receive.
    pub fn document(&self) -> EventDocument<'_> {
        let Self { event_id, event_type, created_at, user_id, workflow_id, integration_id, actor, data, .. } = self;
        EventDocument {
            id: *event_id,
            event_type: *event_type,
            created_at: *created_at,
            user_id: *user_id,
            workflow_id: *workflow_id,
            integration_id: integration_id.as_ref(),
            actor: *actor,
            data: &data.0,
        }
    }
}

/// Actor of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Actor {
    /// Back end or engine, by its API key.
    #[schema(title = "KeyActor")]
    #[serde(rename_all = "camelCase")]
    Key {
        /// Id of the API key.
        key_id: KeyId,
    },
    /// User, through the modal.
    #[schema(title = "UserActor")]
    #[serde(rename_all = "camelCase")]
    User {
        /// Id of the user.
        user_id: UserId,
    },
}

/// JSON object that an event carries. Stored as text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventData(Box<RawValue>);

impl EventData {
    /// Creates the data from what the API shows.
    pub fn of(shown: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(shown).map(Self)
    }
}

impl TryFrom<String> for EventData {
    type Error = serde_json::Error;
    fn try_from(json: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(json).map(Self)
    }
}

impl From<EventData> for String {
    fn from(EventData(json): EventData) -> Self {
        json.get().to_owned()
    }
}

impl PartialEq for EventData {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for EventData {}

macro_rules! event_types {
    ($($(#[$meta:meta])* $variant:ident = $text:literal as $title:literal)*) => {
        /// Type of an event: a resource, and what happened to it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventType {
            $($(#[$meta])* #[serde(rename = $text)] $variant,)*
        }

        impl EventType {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the form used in JSON and in stored items.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            /// Returns the `DetailType` on an event bus.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title),*
                }
            }
        }
    };
}

event_types! {
    /// An integration was installed.
    InstallationCreated = "installation.created" as "Installation Created"
    /// Settings, credentials or the list of workflows of an installation changed.
    InstallationUpdated = "installation.updated" as "Installation Updated"
    /// An integration was uninstalled.
    InstallationDeleted = "installation.deleted" as "Installation Deleted"
    /// A workflow was created.
    WorkflowCreated = "workflow.created" as "Workflow Created"
    /// Name, credentials or settings of a workflow changed, but not whether it is active.
    WorkflowUpdated = "workflow.updated" as "Workflow Updated"
    /// A workflow became active.
    WorkflowActivated = "workflow.activated" as "Workflow Activated"
    /// A workflow became inactive.
    WorkflowDeactivated = "workflow.deactivated" as "Workflow Deactivated"
    /// A workflow was deleted.
    WorkflowDeleted = "workflow.deleted" as "Workflow Deleted"
    /// A credential was created.
    CredentialCreated = "credential.created" as "Credential Created"
    /// The data of a credential was replaced.
    CredentialReplaced = "credential.replaced" as "Credential Replaced"
    /// A credential was marked invalid, or the reason changed.
    CredentialInvalid = "credential.invalid" as "Credential Invalid"
    /// A credential was marked valid again.
    CredentialValid = "credential.valid" as "Credential Valid"
    /// A credential was deleted.
    CredentialDeleted = "credential.deleted" as "Credential Deleted"
    /// A user was disabled, or its deletion began.
    UserDisabled = "user.disabled" as "User Disabled"
    /// A user was enabled.
    UserEnabled = "user.enabled" as "User Enabled"
    /// A user and everything that it owned were deleted.
    UserDeleted = "user.deleted" as "User Deleted"
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        string_schema(|schema| schema.enum_values(Some(Self::ALL.iter().map(|event| event.as_str()))))
    }
}

impl ToSchema for EventType {}

impl EventType {
    /// Returns the resource, such as `workflow`.
    fn resource(self) -> &'static str {
        self.as_str().split_once('.').map_or(self.as_str(), |(resource, _)| resource)
    }
}

/// Error for a text that is not an event type. Names the most similar one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}{}", names(EventType::ALL.iter().map(|one| one.as_str())), suggestion(*nearest))]
pub struct EventTypeError {
    nearest: Option<&'static str>,
}

/// Returns names for an error's text, such as `` `a`, `b` ``.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl FromStr for EventType {
    type Err = EventTypeError;
    fn from_str(text: &str) -> Result<Self, EventTypeError> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|one| one.as_str()).collect();
            // No single type is what `workflow.*` means.
            EventTypeError { nearest: nearest(text, &known).filter(|_| !text.ends_with('*')) }
        })
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Records that a destination wants: errors, events of a type, or all events of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subscription {
    /// Errors.
    Errors,
    /// Events of a type.
    Type(EventType),
    /// Events of a resource. Contains one of their types.
    Resource(EventType),
}

/// Text of the subscription to errors.
const ERRORS: &str = "error";

impl Subscription {
    /// Returns whether the subscription includes errors, for `None`, or events of a type.
    pub fn includes(self, event: Option<EventType>) -> bool {
        match self {
            Self::Errors => event.is_none(),
            Self::Type(wanted) => event == Some(wanted),
            Self::Resource(wanted) => event.is_some_and(|event| event.resource() == wanted.resource()),
        }
    }
}

/// Texts of the subscriptions to all events of a resource.
const RESOURCES: [&str; 4] = ["installation.*", "workflow.*", "credential.*", "user.*"];

/// Error for a text that is not a subscription. Names the most similar one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `error`, one of {}, or one of {}{}",
    names(RESOURCES),
    names(EventType::ALL.iter().map(|one| one.as_str())),
    suggestion(*nearest)
)]
pub struct SubscriptionError {
    nearest: Option<&'static str>,
}

impl FromStr for Subscription {
    type Err = SubscriptionError;
    fn from_str(text: &str) -> Result<Self, SubscriptionError> {
        if text == ERRORS {
            return Ok(Self::Errors);
        }
        let resource = text.strip_suffix(".*");
        let of_resource = EventType::ALL.iter().find(|one| Some(one.resource()) == resource);
        let subscription = of_resource.map(|one| Self::Resource(*one));
        subscription.or_else(|| text.parse().ok().map(Self::Type)).ok_or_else(|| {
            let types = EventType::ALL.iter().map(|one| one.as_str());
            let known: Vec<&str> = [ERRORS].into_iter().chain(RESOURCES).chain(types).collect();
            SubscriptionError { nearest: nearest(text, &known) }
        })
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors => f.write_str(ERRORS),
            Self::Type(event) => f.write_str(event.as_str()),
            Self::Resource(event) => write!(f, "{}.*", event.resource()),
        }
    }
}

impl TryFrom<String> for Subscription {
    type Error = SubscriptionError;
    fn try_from(text: String) -> Result<Self, SubscriptionError> {
        text.parse()
    }
}

impl From<Subscription> for String {
    fn from(subscription: Subscription) -> Self {
        subscription.to_string()
    }
}

impl PartialSchema for Subscription {
    fn schema() -> RefOr<Schema> {
        let mut all = vec![ERRORS.to_owned()];
        let mut resource = "";
        for event in EventType::ALL {
            if event.resource() != resource {
                resource = event.resource();
                all.push(format!("{resource}.*"));
            }
            all.push(event.to_string());
        }
        string_schema(|schema| schema.enum_values(Some(all)))
    }
}

impl ToSchema for Subscription {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_the_types_in_words() {
        for event in EventType::ALL {
            let words: Vec<String> = event
                .as_str()
                .split('.')
                .map(|word| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect())
                .collect();
            assert_eq!(event.title(), words.join(" "));
            assert_eq!(event.as_str().parse(), Ok(*event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
    }

    #[test]
    fn subscription_is_errors_or_a_type_or_a_resource() {
        let created = Some(EventType::WorkflowCreated);
        for (text, error, workflow_created, user_deleted) in [
            ("error", true, false, false),
            ("workflow.created", false, true, false),
            ("workflow.*", false, true, false),
            ("workflow.deleted", false, false, false),
            ("user.*", false, false, true),
        ] {
            let subscription: Subscription = text.parse().unwrap();
            assert_eq!(subscription.to_string(), text);
            let included = [None, created, Some(EventType::UserDeleted)].map(|event| subscription.includes(event));
            assert_eq!(included, [error, workflow_created, user_deleted], "{text}");
        }
        for text in
            ["", "*", "error.*", "errors", "workflow", "workflow.", "workflow.*.*", "Workflow.*", "workflow.run"]
        {
            text.parse::<Subscription>().expect_err(text);
        }
    }

    #[test]
    fn misspelt_subscription_error_suggests_the_nearest_name() {
        for (misspelt, nearest) in [
            ("errors", "error"),
            ("workflow.activate", "workflow.activated"),
            ("workflows.*", "workflow.*"),
            ("Credential.Invalid", "credential.invalid"),
        ] {
            let error = misspelt.parse::<Subscription>().expect_err(misspelt).to_string();
            assert!(error.starts_with("must be `error`, one of `installation.*`, "), "{error}");
            assert!(error.ends_with(&format!("`user.deleted`; did you mean `{nearest}`?")), "{error}");
        }
        let error = "user.removed".parse::<EventType>().expect_err("no type").to_string();
        assert!(error.starts_with("must be one of `installation.created`, "), "{error}");
        let error = "workflow.*".parse::<EventType>().expect_err("no type").to_string();
        assert!(error.ends_with("`user.deleted`"), "{error}");
        assert!("§".parse::<EventType>().expect_err("no type").to_string().ends_with("`user.deleted`"));
    }

    #[test]
    fn every_resource_has_a_subscription() {
        for resource in RESOURCES {
            assert_eq!(resource.parse::<Subscription>().map(|one| one.to_string()).as_deref(), Ok(resource));
        }
        for one in EventType::ALL {
            assert!(RESOURCES.contains(&format!("{}.*", one.resource()).as_str()), "{one}");
        }
    }

    #[test]
    fn data_keeps_the_text_of_numbers() {
        let data =
            EventData::try_from(r#"{"settings":{"price":1.10,"id":12345678901234567890123}}"#.to_owned()).unwrap();
        let stored: serde_dynamo::AttributeValue = serde_dynamo::to_attribute_value(&data).unwrap();
        assert_eq!(serde_dynamo::from_attribute_value::<_, EventData>(stored).unwrap(), data);
        assert!(EventData::try_from("{".to_owned()).is_err());
    }
}
