//! `PUT /integrations/{integrationId}`. AWS calls: one DynamoDB read, and one write or, for a new
//! integration, one transaction; again after a conflict with a concurrent request.

use axum::{
    extract,
    response::{IntoResponse, Response},
};
use tenon::{
    domain::{
        form::{Field, FieldName, FieldType, MAX_FIELDS, MAX_OPTIONS, Pattern, SelectOption},
        integration::{
            Content, CredentialType, Hint, HintAction, Icon, Integration, IntegrationId, MAX_CREDENTIAL_TYPES,
            MAX_HINTS, MAX_INTEGRATION_BYTES, MAX_WORKFLOWS, WorkflowTemplate,
        },
        text::Text,
        timestamp::Timestamp,
        workflow::WorkflowKey,
    },
    http::{
        Backend, Conflicts, Created, FieldErrors, Fields, FromJson, IfMatch, IfNoneMatch, Input, Location, NewPath,
        Preconditions, Problem, Valid,
    },
    store::integrations::{CreateIntegrationError, Integrations},
};
use utoipa::ToSchema;

use super::{IntegrationBody, revised};

/// Content of an integration. Members that only responses have are ignored.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_settings))]
pub struct PutIntegration {
    /// Display name.
    name: Text<128>,
    /// Description.
    description: Option<Text<1000>>,
    /// Image as a data URI (png, jpeg, webp or svg+xml) of at most 16 KiB.
    icon: Option<Icon>,
    /// Accounts that a user connects.
    #[input(max = MAX_CREDENTIAL_TYPES, unique = "type", default)]
    #[schema(required = false, max_items = 5)]
    credential_types: Vec<CredentialTypeInput>,
    /// Settings that a user fills in. Anyone who may read the workflow can read them.
    #[input(max = MAX_FIELDS, unique = "name", default)]
    #[schema(required = false, max_items = 30)]
    settings: Vec<FieldInput>,
    /// Workflows that an installation creates.
    #[input(max = MAX_WORKFLOWS, min = 1, unique = "key")]
    #[schema(min_items = 1, max_items = 20)]
    workflows: Vec<WorkflowInput>,
    /// Explanations of errors for the user.
    #[input(max = MAX_HINTS, default)]
    #[schema(required = false, max_items = 50)]
    hints: Vec<HintInput>,
    /// Whether users see the integration and can install it.
    #[input(default = true)]
    #[schema(required = false, default = true)]
    enabled: bool,
    /// Ignored, but must equal the id in the path.
    integration_id: Option<IntegrationId>,
    /// Ignored.
    #[schema(value_type = serde_json::Value, required = false)]
    #[expect(dead_code, reason = "accepted and ignored")]
    version: Option<Ignored>,
    /// Ignored.
    #[schema(value_type = serde_json::Value, required = false)]
    #[expect(dead_code, reason = "accepted and ignored")]
    created_at: Option<Ignored>,
    /// Ignored.
    #[schema(value_type = serde_json::Value, required = false)]
    #[expect(dead_code, reason = "accepted and ignored")]
    updated_at: Option<Ignored>,
    /// Ignored.
    #[schema(value_type = serde_json::Value, required = false)]
    #[expect(dead_code, reason = "accepted and ignored")]
    installation: Option<Ignored>,
}

/// Account that a user connects.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialTypeInput {
    /// Type of the credentials, unique within the integration.
    #[serde(rename = "type")]
    credential_type: Text<128>,
    /// Display name.
    name: Text<128>,
    /// Form of the data.
    #[input(max = MAX_FIELDS, unique = "name")]
    #[schema(max_items = 30)]
    fields: Vec<FieldInput>,
}

/// Field of a form.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[input(check(check_pattern: field_type), check(check_options: field_type))]
pub struct FieldInput {
    /// Name of the member, unique within the form.
    name: FieldName,
    /// Label.
    label: Text<128>,
    /// Type of the value. `secret` is allowed in credential types only.
    #[serde(rename = "type")]
    field_type: FieldType,
    /// Whether a value is required.
    #[input(default)]
    #[schema(required = false, default = false)]
    required: bool,
    /// Explanation below the field.
    help: Option<Text<500>>,
    /// Example that an empty field shows.
    placeholder: Option<Text<128>>,
    /// Regular expression that the whole value of a `text`, `secret` or `url` matches.
    pattern: Option<Pattern>,
    /// Options of a `select`, at least one.
    #[input(max = MAX_OPTIONS, unique = "value", default)]
    #[schema(required = false, max_items = 100)]
    options: Vec<OptionInput>,
}

/// Option of a select.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OptionInput {
    /// Value, unique within the select.
    value: Text<256>,
    /// Label.
    label: Text<128>,
}

/// Workflow that an installation creates.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowInput {
    /// Key, unique within the integration.
    key: WorkflowKey,
    /// Display name, with which the name of each user's workflow begins.
    name: Text<200>,
    /// Description.
    description: Option<Text<1000>>,
}

/// Explanation of errors for the user.
#[derive(Debug, Input, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HintInput {
    /// Text that the error contains, ignoring case.
    #[serde(rename = "match")]
    matches: Text<200>,
    /// Explanation.
    text: Text<500>,
    /// Action that the user can take.
    action: Option<HintAction>,
}

/// Member whose value is not read.
#[derive(Debug)]
struct Ignored;

impl FromJson for Ignored {
    fn from_json(_: &serde_json::Value, _: &mut Location<'_>) -> Option<Self> {
        Some(Self)
    }
}

fn check_settings(fields: &mut Fields<'_>) {
    let types = fields.item_texts("settings", "type");
    for (index, _) in types.filter(|(_, field_type)| *field_type == FieldType::Secret.as_str()) {
        fields
            .reject_at(&["settings", &index.to_string(), "type"], "cannot be `secret`, because settings are readable");
    }
}

fn check_pattern(fields: &mut Fields<'_>, field_type: &FieldType) {
    if fields.has("pattern") && !field_type.has_pattern() {
        fields.reject("pattern", "is allowed for `text`, `secret` and `url` only");
    }
}

fn check_options(fields: &mut Fields<'_>, field_type: &FieldType) {
    match (field_type, fields.has_items("options")) {
        (FieldType::Select, false) => fields.reject("options", "must not be empty for a `select`"),
        (FieldType::Select, true) | (_, false) => {}
        (_, true) => fields.reject("options", "is allowed for a `select` only"),
    }
}

impl From<FieldInput> for Field {
    fn from(input: FieldInput) -> Self {
        let FieldInput { name, label, field_type, required, help, placeholder, pattern, options } = input;
        let options = options.into_iter().map(|OptionInput { value, label }| SelectOption { value, label }).collect();
        Self { name, label, field_type, required, help, placeholder, pattern, options }
    }
}

impl From<PutIntegration> for Content {
    fn from(input: PutIntegration) -> Self {
        let PutIntegration {
            name,
            description,
            icon,
            credential_types,
            settings,
            workflows,
            hints,
            enabled,
            integration_id: _,
            version: _,
            created_at: _,
            updated_at: _,
            installation: _,
        } = input;
        let form = |fields: Vec<FieldInput>| fields.into_iter().map(Field::from).collect();
        let credential_type = |CredentialTypeInput { credential_type, name, fields }| CredentialType {
            credential_type,
            name,
            fields: form(fields),
        };
        let workflow = |WorkflowInput { key, name, description }| WorkflowTemplate { key, name, description };
        let hint = |HintInput { matches, text, action }| Hint { matches, text, action };
        Self {
            name,
            description,
            icon,
            credential_types: credential_types.into_iter().map(credential_type).collect(),
            settings: form(settings),
            workflows: workflows.into_iter().map(workflow).collect(),
            hints: hints.into_iter().map(hint).collect(),
            enabled,
        }
    }
}

/// Creates an integration or replaces its content. Its version increases if the content changes.
#[utoipa::path(put, path = "/integrations/{integrationId}", tag = "integrations", security(("apiKey" = ["manage"])),
    params(IfMatch, IfNoneMatch), request_body = PutIntegration,
    responses((status = 200, body = IntegrationBody, headers(("ETag", description = "entity tag for If-Match"))),
        (status = 201, body = IntegrationBody, description = "the integration was created",
            headers(("ETag", description = "entity tag for If-Match"))),
        (status = 409, description = "the environment has too many integrations, or a concurrent request changed this one")))]
pub async fn put_integration(
    caller: Backend,
    extract::State(integrations): extract::State<Integrations>,
    NewPath(id): NewPath<IntegrationId>,
    preconditions: Preconditions,
    Valid(body): Valid<PutIntegration>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::default();
    if body.integration_id.as_ref().is_some_and(|given| *given != id) {
        errors.push(&["integrationId"], "must equal the id in the path");
    }
    let content = Content::from(body);
    if content.size() > MAX_INTEGRATION_BYTES {
        errors.push_root(format_args!("must have at most {MAX_INTEGRATION_BYTES} bytes as JSON"));
    }
    errors.check()?;
    let mut conflicts = Conflicts::new("integration");
    loop {
        let now = Timestamp::now();
        match integrations.get(caller.environment, &id).await? {
            None => {
                preconditions.check_absent()?;
                let (integration_id, content) = (id.clone(), content.clone());
                let new = Integration { integration_id, content, version: 1, created_at: now, updated_at: now };
                match integrations.create(caller.environment, &new).await {
                    Ok(()) => return Ok(Created::at(id.to_string(), revised(new)).into_response()),
                    Err(CreateIntegrationError::Exists) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Some(before) => {
                preconditions.check_revision(before.revision())?;
                if before.content == content {
                    return Ok(revised(before).into_response());
                }
                let (content, version) = (content.clone(), before.version + 1);
                let after = Integration { content, version, updated_at: now, ..before.clone() };
                if integrations.replace(caller.environment, &before, &after).await? {
                    return Ok(revised(after).into_response());
                }
            }
        }
        conflicts.retry().await?;
    }
}
