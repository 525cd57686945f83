//! Input of requests: query strings and JSON bodies.
//!
//! An [`Input`] type reads its members from [`Fields`], which collects errors instead of stopping
//! at the first one and remembers the names that were read. A single response therefore names up to
//! 100 invalid fields and unknown members, with the nearest defined name or all defined names.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fmt::Display,
    ops::RangeInclusive,
};

use axum::{body::Body, extract::FromRequest};
use http::{Extensions, Method, Request};
use lambda_http::RequestExt;
use serde_json::{Map, Value};

use super::{
    Identity, Problem, body,
    problem::{FieldError, FieldErrors, pointer_to},
};
use crate::domain::{
    patch::Patch,
    text::{any_of, nearest},
};

/// Number of defined names up to which an error names them all.
const MAX_EXPECTED: usize = 12;

/// Validated input: the query string of a GET or DELETE, whose body is ignored, otherwise the JSON
/// body.
#[derive(Clone, Debug)]
pub struct Valid<T>(pub T);

/// No input: rejects every parameter and every member of a body.
#[derive(Clone, Copy, Debug)]
pub struct NoInput;

/// Last argument of a handler. Reads all of the input: [`Valid`] or [`NoInput`].
/// [`serve`](super::serve()) accepts only handlers that have one.
pub trait RequestInput {}

impl<T> RequestInput for Valid<T> {}
impl RequestInput for NoInput {}

/// Errors in parts of a request outside its input, such as a header. [`Valid`] refuses the request
/// and names them with the errors of the input.
#[derive(Clone, Debug, Default)]
pub(super) struct OtherErrors(Vec<FieldError>);

impl OtherErrors {
    /// Adds an error to those of a request.
    pub(super) fn add(extensions: &mut Extensions, error: FieldError) {
        let Self(mut errors) = extensions.remove().unwrap_or_default();
        errors.push(error);
        extensions.insert(Self(errors));
    }
}

/// Input that is read member by member. Derive it: see the macro of the same name.
pub trait Input: Sized {
    /// Reads the members. Returns `None` if a required member is missing or a value is invalid,
    /// after recording why; may also return a value and record errors. Read every member before
    /// returning: a member that is not read is reported as unknown.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// Input without members.
impl Input for () {
    fn read(_: &mut Fields<'_>) -> Option<Self> {
        Some(())
    }
}

/// Members of both inputs, such as filters and [`PageParams`](super::PageParams).
impl<A: Input, B: Input> Input for (A, B) {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (first, second) = (A::read(fields), B::read(fields));
        first.zip(second)
    }
}

impl<T: FromJson, S: Sync> FromRequest<S> for Valid<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        let OtherErrors(others) = request.extensions().get().cloned().unwrap_or_default();
        let mut errors = FieldErrors::from(others);
        let by_user = matches!(Identity::of(request.extensions()), Ok(Identity::User { .. }));
        let parameters = parameters(request.extensions(), &mut errors);
        let input = if matches!(*request.method(), Method::GET | Method::DELETE) {
            T::from_json(&parameters, &mut Location::root(Source::Query, &mut errors))
        } else {
            let text = body::text(request).await?;
            <()>::from_json(&parameters, &mut Location::root(Source::Query, &mut errors));
            let body = body::parse(&text, &mut errors)?;
            let root = Location::root(Source::Body, &mut errors);
            T::from_json(&body, &mut Location { text: Some(&text), by_user, ..root })
        };
        errors.finish(input).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for NoInput {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, Problem> {
        Valid::<()>::from_request(request, state).await.map(|Valid(())| Self)
    }
}

impl<T: FromJson> Valid<T> {
    /// Validates the payload of a function without a route, which only IAM principals can invoke.
    pub fn payload(payload: &Value) -> Result<Self, Problem> {
        Self::item(payload, FieldErrors::MAX)
    }

    /// Validates an item of a batch on its own. The problem names at most `max_errors` errors.
    pub fn item(item: &Value, max_errors: usize) -> Result<Self, Problem> {
        let mut errors = FieldErrors::up_to(max_errors);
        let input = T::from_json(item, &mut Location::root(Source::Body, &mut errors));
        errors.finish(input).map(Self)
    }
}

/// Returns the query parameters as an object. Records those that are given more than once.
fn parameters(extensions: &Extensions, errors: &mut FieldErrors) -> Value {
    let mut members = Map::new();
    for (name, value) in extensions.query_string_parameters().iter() {
        if members.insert(name.to_owned(), value.into()).is_some() {
            errors.push(&[name], "is given more than once");
        }
    }
    Value::Object(members)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Body,
    Query,
}

/// Members of an object. Collects an error for every invalid or unknown member, so that all are
/// reported together.
///
/// Errors never repeat a value, which may be a secret.
#[derive(Debug)]
pub struct Fields<'a> {
    members: &'a Map<String, Value>,
    /// Names that were read, all of which the operation defines.
    known: Vec<&'static str>,
    location: Location<'a>,
}

/// Result of reading an optional member: `Some(None)` if it is absent, `None` if it is invalid.
pub type Optional<T> = Option<Option<T>>;

impl<'a> Fields<'a> {
    /// Reads a required member.
    pub fn required<T: FromJson>(&mut self, name: &'static str) -> Option<T> {
        let value = self.optional(name);
        self.require(name, value)
    }

    /// Returns a member that was read, or rejects it if it is absent or null.
    pub fn require<T>(&mut self, name: &'static str, value: Optional<T>) -> Option<T> {
        match value? {
            Some(value) => Some(value),
            None => self.member(name).reject("is required"),
        }
    }

    /// Reads a member that may be absent or null.
    pub fn optional<T: FromJson>(&mut self, name: &'static str) -> Optional<T> {
        match self.value(name) {
            None => Some(None),
            Some(value) => T::from_json(value, &mut self.member(name)).map(Some),
        }
    }

    /// Reads a member, distinguishing absent from null.
    pub fn patch<T: FromJson>(&mut self, name: &'static str) -> Option<Patch<T>> {
        Some(match self.optional(name)? {
            Some(value) => Patch::Set(value),
            None if self.members.contains_key(name) => Patch::Null,
            None => Patch::Absent,
        })
    }

    /// Reads a list or number that may be absent or null.
    pub fn bounded<T: Bounded>(&mut self, name: &'static str, range: RangeInclusive<usize>) -> Optional<T> {
        match self.value(name) {
            None => Some(None),
            Some(value) => T::from_json_within(value, &mut self.member(name), range).map(Some),
        }
    }

    /// Returns `true` if a member is present and not null. Counts as reading it.
    pub fn has(&mut self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    /// Returns `true` if a member is present and neither null nor an empty list. Counts as reading
    /// it.
    pub fn has_items(&mut self, name: &'static str) -> bool {
        self.value(name).is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty()))
    }

    /// Rejects each of these members that is present and not null.
    pub fn reject_given(&mut self, names: &[&'static str], detail: &str) {
        for name in names {
            if self.has(name) {
                self.reject(name, detail);
            }
        }
    }

    /// Records items of a list that have the same text as an earlier one in a member. Items that
    /// are invalid otherwise are compared too.
    pub fn reject_repeated(&mut self, list: &str, member: &'a str) {
        let mut seen = HashSet::new();
        for (index, text) in self.item_texts(list, member) {
            if !seen.insert(text) {
                self.reject_at(&[list, &index.to_string(), member], "is given more than once");
            }
        }
    }

    /// Returns the index and text of a member of each item of a list that has one, even if the item
    /// is invalid.
    pub fn item_texts(&self, list: &str, member: &'a str) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let items = self.members.get(list).and_then(Value::as_array).into_iter().flatten();
        items.enumerate().filter_map(move |(index, item)| Some((index, item.get(member)?.as_str()?)))
    }

    /// Returns whether the members are the parameters of a query string.
    pub fn is_query(&self) -> bool {
        self.location.is_query()
    }

    /// Returns whether the caller has a user token, in the body of a request.
    pub fn is_by_user(&self) -> bool {
        self.location.by_user
    }

    /// Records why a member is invalid.
    pub fn reject(&mut self, name: &str, detail: impl Display) {
        self.reject_at(&[name], detail);
    }

    /// Records why a value below this object is invalid, at the path of its members and indices.
    pub fn reject_at(&mut self, path: &[&str], detail: impl Display) {
        let Location { at, errors, .. } = &mut self.location;
        errors.push_at(&at.pointer(), path, detail);
    }

    /// Records why the object as a whole is invalid.
    pub fn reject_object(&mut self, detail: impl Display) {
        let _: Option<()> = self.location.reject(detail);
    }

    fn member(&mut self, name: &'static str) -> Location<'_> {
        self.location.member(name)
    }

    /// Records every member that was not read.
    fn reject_unknown(&mut self) {
        let what = if self.location.is_query() { "unknown parameter" } else { "unknown field" };
        let unknown = self.members.keys().filter(|name| !self.known.contains(&name.as_str()));
        let mut unknown: Vec<&String> = unknown.collect();
        if self.location.is_query() {
            // API Gateway does not keep the order of parameters.
            unknown.sort_unstable();
        }
        for name in unknown {
            let Location { at, errors, .. } = &mut self.location;
            errors.push_with(|| {
                let detail = match nearest(name, &self.known) {
                    Some(known) => format!("{what}; did you mean `{known}`?"),
                    None if (1..=MAX_EXPECTED).contains(&self.known.len()) => {
                        format!("{what}; expected {}", any_of(&self.known))
                    }
                    None => what.to_owned(),
                };
                FieldError { pointer: At::Member(at, name).pointer(), detail }
            });
        }
    }

    /// Returns a member that is not null, and remembers its name as known.
    fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        // Some inputs read a member twice.
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.members.get(name).filter(|value| !value.is_null())
    }
}

/// Path from the root to a value. Its JSON pointer is built only for an error.
#[derive(Clone, Copy, Debug)]
enum At<'a> {
    Root,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl At<'_> {
    /// Returns the names and indexes on the path, unlike those in the pointer not shortened.
    fn segments(&self) -> Vec<Cow<'_, str>> {
        let (parent, last) = match self {
            Self::Root => return Vec::new(),
            Self::Member(parent, name) => (parent, Cow::Borrowed(*name)),
            Self::Item(parent, index) => (parent, Cow::Owned(index.to_string())),
        };
        let mut segments = parent.segments();
        segments.push(last);
        segments
    }

    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(parent, name) => pointer_to(&parent.pointer(), name),
            Self::Item(parent, index) => pointer_to(&parent.pointer(), &index.to_string()),
        }
    }
}

/// Location of a value, for reporting errors.
#[derive(Debug)]
pub struct Location<'a> {
    at: At<'a>,
    source: Source,
    /// Text of the body.
    text: Option<&'a str>,
    /// Whether the caller has a user token.
    by_user: bool,
    errors: &'a mut FieldErrors,
}

impl<'a> Location<'a> {
    fn root(source: Source, errors: &'a mut FieldErrors) -> Self {
        Self { at: At::Root, source, text: None, by_user: false, errors }
    }

    fn member<'s>(&'s mut self, name: &'s str) -> Location<'s> {
        self.at(|at| At::Member(at, name))
    }

    fn item(&mut self, index: usize) -> Location<'_> {
        self.at(|at| At::Item(at, index))
    }

    /// Returns another location of the same input.
    fn at<'s>(&'s mut self, place: impl FnOnce(&'s At<'a>) -> At<'s>) -> Location<'s> {
        let Self { at, source, text, by_user, errors } = self;
        Location { at: place(at), source: *source, text: *text, by_user: *by_user, errors }
    }

    /// Returns whether the value is from a query string, in which every value is a string.
    pub fn is_query(&self) -> bool {
        self.source == Source::Query
    }

    /// Reads an object as a nested input.
    fn object<T: Input>(&mut self, value: &Value) -> Option<T> {
        let Value::Object(members) = value else {
            return self.reject("must be an object");
        };
        let location = self.at(|at| *at);
        let mut fields = Fields { members, known: Vec::new(), location };
        let input = T::read(&mut fields);
        fields.reject_unknown();
        input
    }

    /// Reads a list. The items are not read if their number is out of range.
    pub fn list<T: FromJson>(&mut self, value: &Value, length: RangeInclusive<usize>) -> Option<Vec<T>> {
        let Value::Array(items) = value else {
            return self.reject("must be a list");
        };
        let (min, max) = (*length.start(), *length.end());
        match items.len() {
            0 if min == 1 => return self.reject("must not be empty"),
            count if count < min => return self.reject(format_args!("must have at least {min} entries")),
            count if count > max => return self.reject(format_args!("must have at most {max} entries")),
            _ => {}
        }
        let read = items.iter().enumerate().map(|(index, item)| T::from_json(item, &mut self.item(index)));
        // All items are read before the first invalid one ends the conversion.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    /// Reads the members of an object whose names are up to the caller.
    pub fn pairs<T>(
        &mut self,
        value: &Value,
        max: usize,
        read: impl Fn(&Value, &mut Location<'_>) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Value::Object(members) = value else {
            return self.reject("must be an object");
        };
        if members.len() > max {
            return self.reject(format_args!("must have at most {max} pairs"));
        }
        let pairs = members.iter().map(|(name, value)| Some((name.clone(), read(value, &mut self.member(name))?)));
        pairs.collect::<Vec<_>>().into_iter().collect()
    }

    /// Returns the JSON text of the value as the caller wrote it. Numbers in `value` may have been
    /// rounded to doubles.
    pub fn source(&self, value: &Value) -> String {
        let source = self.text.and_then(|text| body::source(text, &self.at.segments()));
        source.map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Records why the value is invalid.
    pub fn reject<T>(&mut self, detail: impl Display) -> Option<T> {
        self.errors.push_with(|| FieldError { pointer: self.at.pointer(), detail: detail.to_string() });
        None
    }

    /// Returns a value, or records why it is invalid.
    pub(super) fn accept<T>(&mut self, result: Result<T, impl Display>) -> Option<T> {
        result.map_or_else(|error| self.reject(error), Some)
    }

    /// Reads a string.
    pub fn text<'v>(&mut self, value: &'v Value) -> Option<&'v str> {
        match value {
            Value::String(text) => Some(text),
            _ => self.reject("must be a string"),
        }
    }
}

/// Type that is read from JSON. In a query string, every value is a string.
pub trait FromJson: Sized {
    /// Reads the value, or records why it is invalid.
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self>;
}

/// Type that a field can limit: a list by its number of items, a number by its value.
pub trait Bounded: Sized {
    /// Reads the value, or records why it is invalid or out of range.
    fn from_json_within(value: &Value, location: &mut Location<'_>, range: RangeInclusive<usize>) -> Option<Self>;
}

impl<T: Input> FromJson for T {
    fn from_json(value: &Value, location: &mut Location<'_>) -> Option<Self> {
        location.object(value)
    }
}

#[cfg(test)]
mod tests {
    use macros::Input;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        domain::{
            event_bus::AccessKeyId,
            id::WorkflowId,
            names::Email,
            secret::Secret,
            timestamp::Timestamp,
            user::{FullName, Metadata, TtlSeconds},
        },
        http::PageParams,
    };

    #[derive(Debug, Input)]
    #[input(check(not_both: workflow_id, full_name))]
    struct Example {
        email: Email,
        workflow_id: Option<WorkflowId>,
        full_name: Patch<FullName>,
        #[input(default)]
        _metadata: Metadata,
        _credentials: Option<Credentials>,
        #[input(default = true)]
        enabled: bool,
        #[input(max = 3, unique = "type")]
        _items: Option<Vec<Item>>,
    }

    #[derive(Debug, Input)]
    struct Credentials {
        _access_key_id: AccessKeyId,
        _secret_access_key: Secret,
        _session_token: Option<Secret>,
    }

    #[derive(Debug, Input)]
    struct Item {
        #[serde(rename = "type")]
        _kind: Option<String>,
        #[input(max = 2, min = 1)]
        _times: Vec<Timestamp>,
    }

    fn not_both(fields: &mut Fields<'_>, workflow: &Option<WorkflowId>, name: &Patch<FullName>) {
        if workflow.is_some() && !matches!(name, Patch::Absent) {
            fields.reject("fullName", "cannot be combined with `workflowId`");
        }
    }

    fn read<T: FromJson>(value: &Value, source: Source) -> (Option<T>, Vec<(String, String)>) {
        let mut errors = FieldErrors::default();
        let input = T::from_json(value, &mut Location::root(source, &mut errors));
        let errors = errors.into_parts().0.into_iter().map(|FieldError { pointer, detail }| (pointer, detail));
        (input, errors.collect())
    }

    fn errors(value: &Value) -> Vec<(String, String)> {
        read::<Example>(value, Source::Body).1
    }

    fn named(errors: &[(String, String)]) -> Vec<&str> {
        errors.iter().map(|(pointer, _)| pointer.as_str()).collect()
    }

    #[test]
    fn all_invalid_fields_are_named_at_any_depth() {
        let found = errors(&json!({
            "metadata": { "a/b": 1, "ok": "x" },
            "credentials": { "accessKeyId": "short" },
            "items": [{ "times": ["soon", "2026-11-24T05:30:00Z"] }, { "times": [] }, {}],
        }));
        let pointers = [
            "/email",
            "/metadata/a~1b",
            "/credentials/accessKeyId",
            "/credentials/secretAccessKey",
            "/items/0/times/0",
            "/items/1/times",
            "/items/2/times",
        ];
        assert_eq!(named(&found), pointers);
        assert_eq!(found[5].1, "must not be empty");
        assert_eq!(found[6].1, "is required");
    }

    #[test]
    fn number_instead_of_a_text_is_refused_with_the_form_of_the_text() {
        for (value, detail) in [
            (
                json!(1_796_015_514),
                "must be a string: must be an ISO 8601 time with an offset, such as 2026-11-24T05:30:50.123Z",
            ),
            (json!(true), "must be a string"),
            (json!({}), "must be a string"),
        ] {
            let found = read::<Timestamp>(&value, Source::Body).1;
            assert_eq!(found, [(String::new(), detail.to_owned())]);
        }
        let found = read::<FullName>(&json!(7), Source::Body).1;
        assert_eq!(found, [(String::new(), "must be a string".to_owned())]);
    }

    #[test]
    fn integers_are_read_in_every_form_of_json_and_refused_with_their_range() {
        #[derive(Debug, Input)]
        struct Numbers {
            #[input(max = 500, min = 1)]
            limit: Option<usize>,
            ttl: Option<TtlSeconds>,
        }
        for (text, expected) in [("60", 60), ("60.0", 60), ("6e1", 60), ("5E2", 500), ("1.0", 1)] {
            let body = body::parse(&format!(r#"{{"limit": {text}}}"#), &mut FieldErrors::default()).unwrap();
            let (input, errors) = read::<Numbers>(&body, Source::Body);
            assert_eq!((input.and_then(|input| input.limit), errors), (Some(expected), vec![]), "{text}");
        }
        for text in [
            "0",
            "-1",
            "-0.0",
            "501",
            "1.5",
            "1e300",
            "18446744073709551616",
            "-9223372036854775809",
            r#""7""#,
            "true",
            "[]",
        ] {
            let body =
                body::parse(&format!(r#"{{"limit": {text}, "ttl": {text}}}"#), &mut FieldErrors::default()).unwrap();
            let (input, found) = read::<Numbers>(&body, Source::Body);
            let expected =
                [("/limit", "must be an integer from 1 to 500"), ("/ttl", "must be an integer from 60 to 1800")];
            assert!(input.is_none_or(|input| input.ttl.is_none()), "{text}");
            let expected = expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()));
            assert_eq!(found, if text == "501" { expected[..1].to_vec() } else { expected.to_vec() }, "{text}");
        }
        let (_, found) = read::<Numbers>(&json!({ "limit": "99999999999999999999" }), Source::Query);
        assert_eq!(found, [("/limit".to_owned(), "must be an integer from 1 to 500".to_owned())]);
    }

    #[test]
    fn repeated_items_are_named_also_if_they_or_others_are_invalid() {
        let times = json!(["2026-11-24T05:30:00Z"]);
        let (item, invalid) = (json!({ "type": "x", "times": times }), json!({ "type": "x", "times": [] }));
        let found = |items: [&Value; 3]| errors(&json!({ "email": "joe@acme.example", "items": items }));
        assert_eq!(found([&item, &json!({ "times": times }), &json!({ "type": "X", "times": times })]), []);
        let repeated = ("/items/2/type".to_owned(), "is given more than once".to_owned());
        assert_eq!(found([&item, &json!({ "times": times }), &item]), std::slice::from_ref(&repeated));
        let empty = ("/items/0/times".to_owned(), "must not be empty".to_owned());
        assert_eq!(found([&invalid, &json!({ "type": null, "times": times }), &item]), [empty, repeated]);
    }

    #[test]
    fn unknown_fields_are_named_at_any_depth_with_the_nearest_name() {
        let found = errors(&json!({
            "email": "joe@acme.example",
            "workflow_id": "x",
            "zip": null,
            "credentials": { "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "s", "sesionToken": "t" },
            "items": [{ "times": ["2026-11-24T05:30:00Z"], "kind": "x", "tpye": "x" }],
        }));
        let expected = [
            ("/credentials/sesionToken", "unknown field; did you mean `sessionToken`?"),
            ("/items/0/kind", "unknown field; expected `type` or `times`"),
            ("/items/0/tpye", "unknown field; did you mean `type`?"),
            ("/workflow_id", "unknown field; did you mean `workflowId`?"),
            (
                "/zip",
                "unknown field; expected `email`, `workflowId`, `fullName`, `metadata`, `credentials`, `enabled` or `items`",
            ),
        ];
        assert_eq!(found, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
    }

    #[test]
    fn parameters_of_filter_and_page_are_read_together() {
        #[derive(Debug, Input)]
        struct Filter {
            _email: Option<Email>,
        }
        let (input, found) = read::<(Filter, PageParams)>(&json!({ "limit": "7" }), Source::Query);
        assert_eq!((input.unwrap().1.limit, found), (7, vec![]));
        let (_, found) = read::<(Filter, PageParams)>(&json!({ "limit": "x", "emial": "" }), Source::Query);
        assert_eq!(named(&found), ["/limit", "/emial"]);
        assert_eq!(found[1].1, "unknown parameter; did you mean `email`?");
        let (_, found) = read::<PageParams>(&json!({ "limit": "7" }), Source::Body);
        assert_eq!(named(&found), ["/limit"], "in a body, a number is not a string");
    }

    #[test]
    fn absent_null_and_given_members_are_distinguished() {
        let name = |member: Value| {
            let mut body = json!({ "email": "joe@acme.example" });
            body.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
            let (input, errors) = read::<Example>(&body, Source::Body);
            assert_eq!(errors, []);
            input.unwrap().full_name
        };
        assert_eq!(name(json!({})), Patch::Absent);
        assert_eq!(name(json!({ "fullName": null })), Patch::Null);
        assert_eq!(name(json!({ "fullName": "Joe" })), Patch::Set("Joe".parse().unwrap()));
    }

    #[test]
    fn checks_run_on_valid_fields_and_defaults_apply() {
        let id = "6155ac246093840013297377";
        let found = errors(&json!({ "email": "joe@acme.example", "workflowId": id, "fullName": null }));
        assert_eq!(found, [("/fullName".into(), "cannot be combined with `workflowId`".into())]);
        let found = errors(&json!({ "email": "joe@acme.example", "workflowId": "x", "fullName": null }));
        assert_eq!(named(&found), ["/workflowId"]);
        let (input, _) = read::<Example>(&json!({ "email": "joe@acme.example", "enabled": null }), Source::Body);
        let Example { email, workflow_id, enabled, .. } = input.unwrap();
        assert_eq!((email.as_str(), workflow_id, enabled), ("joe@acme.example", None, true));
    }

    #[test]
    fn long_names_and_many_errors_keep_the_response_small() {
        let long = "/".repeat(500_000);
        let mut members = Map::from_iter([(long, Value::Null)]);
        members.extend((0..1000).map(|n| (format!("x{n}"), Value::Null)));
        let mut errors = FieldErrors::default();
        <()>::from_json(&Value::Object(members), &mut Location::root(Source::Body, &mut errors));
        let (list, more) = errors.into_parts();
        assert_eq!((list.len(), more), (FieldErrors::MAX, 901));
        assert_eq!(list[0].pointer, format!("/{}…", "~1".repeat(crate::http::problem::MAX_NAME_BYTES / 2)));
    }

    #[test]
    fn non_object_body_is_rejected_as_a_whole() {
        assert_eq!(errors(&json!([])), [(String::new(), "must be an object".to_owned())]);
        assert_eq!(read::<()>(&json!([]), Source::Body).1, [(String::new(), "must be an object".to_owned())]);
        assert_eq!(read::<()>(&json!({}), Source::Body).1, []);
    }

    /// Sends a request to `POST /example?query`.
    async fn post(query: &str, media_type: Option<&str>, body: &str) -> Result<NoInput, Problem> {
        let mut request = Request::post("/example").body(Body::from(body.to_owned())).unwrap();
        if let Some(media_type) = media_type {
            request.headers_mut().insert(http::header::CONTENT_TYPE, media_type.parse().unwrap());
        }
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        let query = query.fold(std::collections::HashMap::<String, Vec<String>>::new(), |mut query, (name, value)| {
            query.entry(name).or_default().push(value);
            query
        });
        NoInput::from_request(request.with_query_string_parameters(query), &()).await
    }

    #[tokio::test]
    async fn operation_without_input_accepts_only_an_empty_object() {
        for (media_type, body) in [(None, ""), (Some("text/plain"), ""), (Some("application/json"), "{}")] {
            assert!(post("", media_type, body).await.is_ok(), "{media_type:?} {body}");
        }
        let problem = post("e=1&c=1&d=1&a=1", Some("application/json"), r#"{"b":1}"#).await.unwrap_err();
        let (_, errors) = problem.into_parts();
        let errors: Vec<_> = errors.into_parts().0.into_iter().map(|error| (error.pointer, error.detail)).collect();
        let unknown = |pointer| (pointer, "unknown parameter");
        let expected = [unknown("/a"), unknown("/c"), unknown("/d"), unknown("/e"), ("/b", "unknown field")];
        assert_eq!(errors, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
        for media_type in [Some("text/plain"), None] {
            assert!(post("", media_type, "{}").await.unwrap_err().into_parts().0.contains("Content-Type"));
        }
        let twice = post("a=1&a=2", None, "").await.unwrap_err();
        assert!(twice.into_parts().0.contains("/a is given more than once"));
    }

    /// JSON whose strings and numbers all contain the digits of `SECRET`.
    fn secrets() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            Just(json!(SECRET.parse::<i64>().unwrap())),
            "[a-z@:./ -]{0,20}".prop_map(|text| Value::String(format!("{text}{SECRET}"))),
        ];
        let names = prop_oneof![
            "[a-zA-Z/~]{0,12}",
            prop::sample::select(vec![
                "email",
                "workflowId",
                "fullName",
                "metadata",
                "credentials",
                "enabled",
                "items",
                "type",
                "times",
                "accessKeyId",
                "secretAccessKey",
                "sessionToken",
                "limit",
                "cursor",
            ])
            .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(names.clone(), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn text_of_a_value_is_found_below_a_name_that_its_pointer_shortens() {
        let (name, other) = ("記".repeat(50), "記".repeat(51));
        let text = format!(r#"{{"{name}": [117.63331139400017], "{other}": [2]}}"#);
        let member = At::Member(&At::Root, &name);
        let at = At::Item(&member, 0);
        assert!(at.pointer().contains('…'));
        assert_eq!(body::source(&text, &at.segments()), Some("117.63331139400017"));
    }

    const SECRET: &str = "8372615094";

    /// Returns a value with the paths of all values in it.
    fn paths(value: &Value) -> Vec<(Vec<String>, &Value)> {
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        let below = members.into_iter().flat_map(|(name, value)| {
            paths(value).into_iter().map(move |(path, value)| ([vec![name.clone()], path].concat(), value))
        });
        std::iter::once((Vec::new(), value)).chain(below).collect()
    }

    proptest! {
        #[test]
        fn text_of_a_value_is_found_at_its_path(value in secrets()) {
            let text = format!(" {value:#} ");
            for (path, value) in paths(&value) {
                let found = body::source(&text, &path).map(serde_json::from_str::<Value>);
                prop_assert_eq!(found.unwrap().unwrap(), value.clone());
            }
            prop_assert_eq!(body::source(&text, &["items", "absent"]), None);
        }

        #[test]
        fn validation_errors_never_echo_values(value in secrets()) {
            let found = [
                errors(&value),
                read::<(Item, PageParams)>(&value, Source::Query).1,
                read::<()>(&value, Source::Body).1,
            ];
            for (pointer, detail) in found.concat() {
                prop_assert!(!pointer.contains(SECRET) && !detail.contains(SECRET), "{pointer} {detail}");
            }
        }
    }
}
