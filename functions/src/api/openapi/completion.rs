//! Completion of the OpenAPI document with what holds for all operations.

use tenon::{
    domain::api_key::Scope,
    http::{ProblemDocument, ProblemType, only_reads},
};
use utoipa::{
    Modify, PartialSchema,
    openapi::{
        Components, Content, ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response, Schema,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{SchemaType, Type},
        security::SecurityRequirement,
    },
};

/// Adds the path parameters, common errors and headers of each operation, and converts its name.
pub(super) struct Completion;

/// Media type and schema of an error.
type Format = (&'static str, &'static str);

/// Format of the errors of functions (RFC 9457).
const FUNCTION: Format = ("application/problem+json", "Problem");
/// Format of the errors of API Gateway.
const GATEWAY: Format = ("application/json", "GatewayError");

/// Error of API Gateway, which answers instead of a function.
#[derive(utoipa::ToSchema)]
struct GatewayError {
    /// Description of the error.
    #[allow(dead_code, reason = "describes the body of API Gateway")]
    message: String,
}

/// Error that many operations return.
struct CommonError {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Formats of the error, which depend on its sources.
    formats: &'static [Format],
    /// Whether an operation, which reads a body or does not, may return it.
    applies: fn(&Operation, bool) -> bool,
}

const COMMON_ERRORS: [CommonError; 13] = [
    CommonError {
        status: "400",
        name: "Malformed",
        description: "The request is not valid HTTP or JSON, or its cursor belongs to another list.",
        formats: &[FUNCTION],
        applies: |_, _| true,
    },
    CommonError {
        status: "401",
        name: "Unauthorized",
        description: "The request has no API key or user token.",
        formats: &[FUNCTION, GATEWAY],
        applies: |operation, _| is_protected(operation),
    },
    CommonError {
        status: "403",
        name: "Forbidden",
        description: "The API key or user token is invalid, expired or revoked, or lacks the required scope.",
        formats: &[FUNCTION, GATEWAY],
        applies: |operation, _| is_protected(operation),
    },
    CommonError {
        status: "404",
        name: "NotFound",
        description: "The path leads to no resource of the environment.",
        formats: &[FUNCTION],
        applies: |operation, _| parameters(operation).any(is_in_path),
    },
    CommonError {
        status: "409",
        name: "InProgress",
        description: "A request with the same `Idempotency-Key` is in progress.",
        formats: &[FUNCTION],
        applies: |operation, _| has_header(operation, "Idempotency-Key"),
    },
    CommonError {
        status: "412",
        name: "Outdated",
        description: "The resource was changed after the ETag in `If-Match` was read.",
        formats: &[FUNCTION],
        applies: |operation, _| has_header(operation, "If-Match") && !has_header(operation, "If-None-Match"),
    },
    CommonError {
        status: "412",
        name: "OutdatedOrPresent",
        description: "The resource was changed after the ETag in `If-Match` was read, or exists although `If-None-Match` is `*`.",
        formats: &[FUNCTION],
        applies: |operation, _| has_header(operation, "If-None-Match"),
    },
    CommonError {
        status: "413",
        name: "TooLarge",
        description: "The body is larger than 1 MiB.",
        formats: &[FUNCTION, GATEWAY],
        applies: |_, reads_body| reads_body,
    },
    CommonError {
        status: "415",
        name: "UnsupportedMediaType",
        description: "The content type is not JSON in UTF-8, or the body has a content encoding.",
        formats: &[FUNCTION],
        applies: |_, reads_body| reads_body,
    },
    CommonError {
        status: "422",
        name: "Invalid",
        description: "Fields are invalid or unknown. The problem document names them.",
        formats: &[FUNCTION],
        applies: |operation, _| is_protected(operation),
    },
    CommonError {
        status: "429",
        name: "TooManyRequests",
        description: "The stack receives more requests than its limits allow. Retry later.",
        formats: &[GATEWAY],
        applies: |_, _| true,
    },
    CommonError {
        status: "500",
        name: "Internal",
        description: "An unexpected error. The logs have the cause.",
        formats: &[FUNCTION, GATEWAY],
        applies: |_, _| true,
    },
    CommonError {
        status: "503",
        name: "Busy",
        description: "AWS throttles or is unavailable. Retry after `Retry-After`.",
        formats: &[FUNCTION, GATEWAY],
        applies: |_, _| true,
    },
];

fn body(schema: &str) -> RefOr<Content> {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build().into()
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn is_in_path(parameter: &Parameter) -> bool {
    matches!(parameter.parameter_in, ParameterIn::Path)
}

fn has_header(operation: &Operation, name: &str) -> bool {
    parameters(operation).any(|parameter| parameter.name == name)
}

fn is_protected(operation: &Operation) -> bool {
    let security = operation.security.as_deref().unwrap_or_default();
    !security.contains(&SecurityRequirement::default())
}

impl Modify for Completion {
    fn modify(&self, document: &mut OpenApi) {
        let components: &mut Components = document.components.get_or_insert_default();
        components.schemas.insert("GatewayError".into(), GatewayError::schema());
        components.schemas.insert("Problem".into(), ProblemDocument::schema());
        components.schemas.insert("ProblemType".into(), ProblemType::schema());
        for error in &COMMON_ERRORS {
            components.responses.insert(error.name.into(), error.response().into());
        }
        for (path, item) in &mut document.paths.paths {
            let (get, put, post, delete, patch) =
                (&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch);
            let methods = [(get, false), (put, true), (post, true), (delete, false), (patch, true)];
            for (operation, reads_body) in methods {
                let Some(operation) = operation else { continue };
                add_path_parameters(path, operation);
                complete(operation, reads_body);
            }
            if let Some(operation) = item.get.as_mut().filter(|_| only_reads(&format!("GET {path}"))) {
                admit_readers(operation);
            }
        }
    }
}

impl CommonError {
    fn response(&self) -> Response {
        let mut response = Response::new(self.description);
        self.add_to(&mut response);
        response
    }

    /// Adds the bodies and headers of the error to a response.
    fn add_to(&self, response: &mut Response) {
        let header = match self.status {
            "401" => Some(("WWW-Authenticate", "`Bearer`.")),
            "503" => Some(("Retry-After", "Seconds after which to retry; absent in responses of API Gateway.")),
            _ => None,
        };
        if let Some((name, description)) = header {
            let header = HeaderBuilder::new().description(Some(description)).build();
            response.headers.insert(name.into(), header.into());
        }
        for (media_type, schema) in self.formats {
            response.content.entry((*media_type).into()).or_insert(body(schema));
        }
    }
}

/// Admits keys with the scope `read` to an operation of the back end.
fn admit_readers(operation: &mut Operation) {
    let api_key = |scope| SecurityRequirement::new("apiKey", [scope]);
    let security = operation.security.get_or_insert_default();
    if let Some(position) = security.iter().position(|one| *one == api_key(Scope::Manage.as_str())) {
        security.insert(position + 1, api_key(Scope::Read.as_str()));
    }
}

/// Adds the parameters in a path: `{workflowId}` has the schema `WorkflowId`, and `{user}` is a
/// reference to a user.
fn add_path_parameters(path: &str, operation: &mut Operation) {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameters = names.map(|name| {
        let schema = match name {
            "user" => "UserRef".to_owned(),
            name => capitalized(name),
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Ref::from_schema_name(schema)))
            .build()
            .into()
    });
    let mut parameters: Vec<RefOr<Parameter>> = parameters.collect();
    parameters.extend(operation.parameters.take().unwrap_or_default());
    operation.parameters = Some(parameters).filter(|parameters| !parameters.is_empty());
}

/// Completes the name, responses and parameters of an operation, which reads a body or does not.
fn complete(operation: &mut Operation, reads_body: bool) {
    operation.operation_id = operation.operation_id.as_deref().map(camel_case);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = match status.as_str() {
                "201" => "Created.",
                "202" => "Accepted.",
                _ => "Success.",
            }
            .into();
        }
        if !response.description.ends_with('.') {
            response.description = capitalized(&response.description) + ".";
        }
        if status == "201" {
            let description = "URL of the new resource, relative to that of the request.";
            let header = HeaderBuilder::new().description(Some(description)).build();
            response.headers.insert("Location".into(), header.into());
        }
        if status.starts_with(['4', '5']) {
            let (media_type, schema) = FUNCTION;
            response.content.insert(media_type.into(), body(schema));
        }
    }
    for error in COMMON_ERRORS.iter().filter(|error| (error.applies)(operation, reads_body)).collect::<Vec<_>>() {
        let reference = RefOr::Ref(Ref::new(format!("#/components/responses/{}", error.name)));
        match operation.responses.responses.entry(error.status.into()).or_insert(reference) {
            RefOr::T(response) => {
                response.description = format!("{} Or: {}", response.description, error.description);
                error.add_to(response);
            }
            RefOr::Ref(_) => {}
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            forbid_null(parameter);
        }
    }
}

/// Converts the name of a handler: `list_users` to `listUsers`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capitalized(word))
}

/// Returns a word with its first letter in upper case.
pub(super) fn capitalized(word: &str) -> String {
    let (initial, rest) = word.split_at_checked(1).unwrap_or_default();
    initial.to_uppercase() + rest
}

/// Removes `null` from the types of a parameter, which is absent instead.
fn forbid_null(parameter: &mut Parameter) {
    let Some(schema) = &mut parameter.schema else { return };
    let other = match schema {
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|kind| *kind != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
            None
        }
        RefOr::T(Schema::OneOf(one_of)) => one_of.items.iter().find(|item| !is_null(item)).cloned(),
        _ => None,
    };
    if let Some(other) = other {
        *schema = other;
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}
