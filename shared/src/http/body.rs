//! JSON bodies: text, syntax and duplicate members.

use axum::body::{Body, to_bytes};
use http::{Request, header};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::{
    Problem,
    problem::{FieldError, FieldErrors, pointer_to},
};

/// Maximum size of a body in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Returns the JSON text of a request. An empty body is an empty object.
pub(super) async fn text(request: Request<Body>) -> Result<String, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| Problem::too_large(MAX_BODY_BYTES))?;
    if bytes.is_empty() {
        return Ok("{}".into());
    }
    let is_encoded = |coding: &http::HeaderValue| !coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(is_encoded) {
        return Err(Problem::unsupported_media_type("send the body without `Content-Encoding`"));
    }
    let media_type = parts.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if !media_type.is_some_and(is_json) {
        let detail = "the header `Content-Type` must be `application/json`, with no other charset than UTF-8";
        return Err(Problem::unsupported_media_type(detail));
    }
    // API Gateway replaces the second byte of gzip, which is not valid UTF-8.
    if bytes.starts_with(&[0x1f]) {
        return Err(Problem::malformed_json("the body is compressed; send it as text"));
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(Problem::malformed_json("the body starts with a byte order mark; send it without one"));
    }
    let malformed = |_| Problem::malformed_json("the body is not valid UTF-8");
    String::from_utf8(bytes.into()).map_err(malformed)
}

fn is_json(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let mut charsets = parts.filter_map(|parameter| parameter.strip_prefix("charset="));
    (essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")))
        && charsets.all(|charset| ["utf-8", "utf8", "us-ascii"].contains(&charset.trim_matches('"')))
}

/// Parses a JSON text. Records members that an object has twice, of which other parsers may read
/// the one or the other.
pub(super) fn parse(text: &str, errors: &mut FieldErrors) -> Result<Value, Problem> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Unique { pointer: "", errors }.deserialize(&mut parser);
    let value = value.and_then(|value| parser.end().map(|()| value));
    // The message of `serde_json` describes the syntax error and quotes nothing from the body.
    value.map_err(|error| {
        let error = error.to_string();
        let hint = if error.contains("hex escape") { " (an escape is half of a surrogate pair)" } else { "" };
        Problem::malformed_json(format!("the body is not valid JSON: {error}{hint}"))
    })
}

/// Returns the text of the value at a path of names of members and indexes of lists. Reads the text
/// once.
pub(super) fn source<'t>(text: &'t str, path: &[impl AsRef<str>]) -> Option<&'t str> {
    let mut parser = serde_json::Deserializer::from_str(text);
    ValueAt(path).deserialize(&mut parser).ok()?.map(RawValue::get)
}

/// Value at a path.
struct ValueAt<'p, S>(&'p [S]);

impl<'de, S: AsRef<str>> DeserializeSeed<'de> for ValueAt<'_, S> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return Deserialize::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: AsRef<str>> Visitor<'de> for ValueAt<'_, S> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let Some((index, rest)) = self.0.split_first() else { return Ok(None) };
        let (index, mut found) = (index.as_ref().parse::<usize>().ok(), None);
        for position in 0.. {
            if Some(position) == index {
                let Some(value) = sequence.next_element_seed(ValueAt(rest))? else { break };
                found = value;
            } else if sequence.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(member) = members.next_key::<String>()? {
            if member == name.as_ref() {
                found = members.next_value_seed(ValueAt(rest))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Value whose objects have no member twice.
struct Unique<'a> {
    pointer: &'a str,
    errors: &'a mut FieldErrors,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let pointer = pointer_to(self.pointer, &items.len().to_string());
            match sequence.next_element_seed(Unique { pointer: &pointer, errors: self.errors })? {
                Some(item) => items.push(item),
                None => return Ok(items.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let pointer = pointer_to(self.pointer, &name);
            let value = map.next_value_seed(Unique { pointer: &pointer, errors: self.errors })?;
            if members.insert(name, value).is_some() {
                self.errors.push_with(|| FieldError { pointer, detail: "is given more than once".into() });
            }
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> (Value, Vec<String>) {
        let mut errors = FieldErrors::default();
        let value = parse(text, &mut errors).unwrap();
        (value, errors.into_parts().0.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn json_is_recognized_by_media_type() {
        for yes in
            ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
        {
            assert!(is_json(yes), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json; charset=utf-16",
            "application/json;charset=\"latin1\"",
        ] {
            assert!(!is_json(no), "{no}");
        }
    }

    #[test]
    fn members_that_are_given_twice_are_recorded() {
        let (value, errors) = parsed(r#"{ "a": 1, "a": 2, "b": [{ "c/d": 1, "c/d": 1 }] }"#);
        assert_eq!(value, json!({ "a": 2, "b": [{ "c/d": 1 }] }));
        assert_eq!(errors, ["/a", "/b/0/c~1d"]);
    }

    #[test]
    fn pointers_to_deeply_nested_members_are_short() {
        let name = "\\\"".repeat(50);
        let twice: String = (0..100).map(|n| format!(r#""{n}":1,"{n}":1,"#)).collect();
        let text = format!(r#"{}{{{twice}"a":0}}{}"#, format!(r#"{{"{name}":"#).repeat(120), "}".repeat(120));
        let (_, errors) = parsed(&text);
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|pointer| pointer.len() < 500), "{errors:?}");
    }

    #[test]
    fn source_of_a_value_is_its_text() {
        let text = r#"{ "a~/b": [0, { "n": 1.50e-400 }], "data": {"x":117.63331139400017 } }"#;
        assert_eq!(source(text, &["a~/b", "1", "n"]), Some("1.50e-400"));
        assert_eq!(source(text, &["data"]), Some(r#"{"x":117.63331139400017 }"#));
        assert_eq!(source(text, &["missing"]), None);
    }

    #[test]
    fn syntax_errors_and_trailing_text_are_malformed() {
        for text in ["", "{", "{} {}", "nul", "[1,]", "{\"a\":\"\\ud800\"}", "1e999"] {
            assert!(parse(text, &mut FieldErrors::default()).is_err(), "{text}");
        }
        for (text, reason) in [("[1,]", "trailing comma"), ("{\"a\":\"\\ud800\"}", "surrogate pair"), ("", "EOF")] {
            let problem = format!("{:?}", parse(text, &mut FieldErrors::default()).unwrap_err());
            assert!(problem.contains("the body is not valid JSON: ") && problem.contains(reason), "{problem}");
        }
    }

    #[tokio::test]
    async fn unreadable_bodies_are_explained() {
        let request = |coding: Option<&str>, body: &[u8]| {
            let request = Request::post("/").header("content-type", "application/json");
            let request =
                coding.into_iter().fold(request, |request, coding| request.header("content-encoding", coding));
            request.body(Body::from(body.to_vec())).unwrap()
        };
        for (coding, body, status, reason) in [
            (Some("gzip"), &b"{}"[..], 415, "without `Content-Encoding`"),
            (None, b"\x1f\x8b\x08", 400, "compressed"),
            (None, "\x1f\u{fffd}\x08".as_bytes(), 400, "compressed"),
            (None, b"\xef\xbb\xbf{}", 400, "byte order mark"),
            (None, b"\"\xed\xa0\x80\"", 400, "UTF-8"),
        ] {
            let problem = text(request(coding, body)).await.unwrap_err();
            assert!(format!("{problem:?}").contains(reason), "{problem:?}");
            assert_eq!(problem.into_response().status().as_u16(), status, "{reason}");
        }
        assert_eq!(text(request(Some("Identity"), b"{}")).await, Ok("{}".into()));
    }

    proptest! {
        #[test]
        fn texts_without_duplicates_are_parsed_like_serde_json_does(text in "[\\[\\]{}:,\"a-c0-9.e -]{0,30}") {
            let mut errors = FieldErrors::default();
            let parsed = parse(&text, &mut errors).ok();
            prop_assert_eq!(&parsed, &serde_json::from_str::<Value>(&text).ok());
            if parsed.is_some() {
                prop_assert_eq!(source(&text, &[""; 0]), Some(text.trim()));
            }
        }
    }
}
