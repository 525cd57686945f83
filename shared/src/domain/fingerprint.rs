//! Fingerprints: digests that group errors that differ in numbers, ids and values only.

use std::str::FromStr;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Digest of the block type and normalized text of an error: 32 hex digits, equal for similar
/// errors of all workflows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// Number of bytes of an error text that are scanned. The beginning of the text identifies the
/// error.
const SCAN_BYTES: usize = 4096;
/// Maximum size of the normalized text in bytes. Less than [`SCAN_BYTES`], so that the length of
/// masked values does not change where a long text is cut.
const MAX_NORMALIZED_BYTES: usize = 1024;

/// Quotation marks around values.
const QUOTES: [char; 3] = ['"', '`', '\''];

impl Fingerprint {
    /// Computes the fingerprint of an error from its block type and text.
    pub fn of(block_type: &str, text: &str) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in [block_type, &normalize(text)] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let half: Vec<u8> = digest.finish().as_ref().iter().take(16).copied().collect();
        Self(hex::encode(half))
    }

    /// Returns the 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Error for a text that is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a fingerprint of 32 hexadecimal digits, as `GET /errors/groups` returns it")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_digit) { Ok(Self(text.to_owned())) } else { Err(FingerprintError) }
    }
}

/// Replaces the parts that vary between similar errors: quoted values, URL queries and fragments,
/// email addresses, and words with a digit (numbers, UUIDs, hashes, keys). Keeps HTTP statuses,
/// which are different problems. Runs in a single pass, so that no input is slow.
fn normalize(text: &str) -> String {
    let (mut rest, _) = text.split_at(text.floor_char_boundary(SCAN_BYTES));
    let (mut normalized, mut before, mut unclosed) = (String::new(), ' ', Vec::new());
    let mut announces_status = false;
    while let Some(first) = rest.chars().next().filter(|_| normalized.len() < MAX_NORMALIZED_BYTES) {
        let after = rest.strip_prefix(first).unwrap_or_default();
        // After a letter, a single quote is an apostrophe.
        let opens = QUOTES.contains(&first) && !(first == '\'' && is_word(before)) && !unclosed.contains(&first);
        let quoted = if opens { after.split_once(first) } else { None };
        before = first;
        if first.is_whitespace() {
            rest = rest.trim_start();
            normalized.push(' ');
        } else if let Some((content, after)) = quoted {
            rest = after;
            // In JSON, the name of a status and its value may be quoted.
            let is_shown = announces_status && is_status(content);
            normalized.push_str(if is_shown { content } else { "…" });
            announces_status = is_before_status(content, false);
        } else if rest.starts_with("http://") || rest.starts_with("https://") {
            let (url, after) = take_while(rest, |c| !c.is_whitespace() && !QUOTES.contains(&c) && c != '<' && c != '>');
            (rest, announces_status) = (after, false);
            before = 'a';
            mask_url(url, &mut normalized);
        } else if is_word(first) {
            let (word, after) = take_while(rest, is_word);
            rest = after;
            before = 'a';
            if announces_status && is_status(word) {
                normalized.push_str(word);
            } else {
                mask(word, &mut normalized);
            }
            announces_status = is_before_status(word, announces_status);
        } else {
            if opens {
                unclosed.push(first);
            }
            rest = after;
            normalized.push(first);
        }
    }
    normalized.truncate(normalized.floor_char_boundary(MAX_NORMALIZED_BYTES));
    normalized
}

/// Returns whether a word is an HTTP status.
fn is_status(word: &str) -> bool {
    let digits = word.trim_end_matches('.');
    let is_number = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && matches!(digits.as_bytes(), [b'1'..=b'5', ..])
}

/// Returns whether a number after this word is an HTTP status: after one of [`STATUS_WORDS`], also
/// with a version of HTTP in between.
fn is_before_status(word: &str, announced: bool) -> bool {
    let is_version = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !is_status(word);
    STATUS_WORDS.contains(&member_name(word).as_str()) || (announced && is_version)
}

/// Returns whether a part of a word is a status with its name, such as `HTTP404`.
fn is_named_status(part: &str) -> bool {
    let named = member_name(part.trim_end_matches('.'));
    STATUS_WORDS.iter().any(|name| named.strip_prefix(name).is_some_and(is_status))
}

/// Returns the last name of a path such as `error.response.status_code`, as [`STATUS_WORDS`] has
/// it.
fn member_name(word: &str) -> String {
    let (_, name) = word.rsplit_once('.').unwrap_or(("", word));
    name.to_ascii_lowercase().replace(['_', '-'], "")
}

/// Words before an HTTP status, in lower case and without hyphens and underscores.
const STATUS_WORDS: [&str; 7] =
    ["status", "code", "http", "statuscode", "httpstatus", "httpstatuscode", "responsecode"];

/// Returns whether a character belongs to a word, including the characters that join numbers,
/// versions and addresses.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@')
}

/// Masks the words of a URL and omits its query and fragment.
fn mask_url(url: &str, normalized: &mut String) {
    let (mut rest, _) = take_while(url, |c| c != '?' && c != '#');
    while let Some(first) = rest.chars().next() {
        let (word, after) = take_while(rest, is_word);
        if word.is_empty() {
            normalized.push(first);
            rest = rest.strip_prefix(first).unwrap_or_default();
        } else {
            mask(word, normalized);
            rest = after;
        }
    }
}

fn mask(word: &str, normalized: &mut String) {
    if word.contains('@') {
        normalized.push('#');
        return;
    }
    for part in word.split_inclusive(['.', '+']) {
        if part.contains(char::is_numeric) && !is_named_status(part) {
            normalized.push('#');
            normalized.extend(part.chars().last().filter(|last| matches!(last, '.' | '+')));
        } else {
            normalized.push_str(part);
        }
    }
}

/// Splits a text after the longest prefix whose characters match.
fn take_while(text: &str, predicate: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !predicate(c)).unwrap_or(text.len()))
}

impl utoipa::PartialSchema for Fingerprint {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::string_schema(|schema| schema.pattern(Some("^[0-9a-f]{32}$")))
    }
}

impl utoipa::ToSchema for Fingerprint {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_ids_queries_and_quoted_values_are_masked() {
        for (a, b) in [
            ("Request 403 failed", "Request 500 failed"),
            ("status code 40312", "status code 9"),
            ("{\"code\":\"x401\"}", "{\"code\":\"y404\"}"),
            ("{\"order\":401}", "{\"order\":404}"),
            ("Unknown barcode 417", "Unknown barcode 418"),
            ("status code 714", "status code 999"),
            ("HTTP4040", "HTTP4041"),
            ("orders.17.HTTP404", "orders.18.HTTP404"),
            ("barcode417", "barcode418"),
            ("response.status.417.3", "response.status.418.3"),
            ("status \"failed\" 214 ms", "status \"failed\" 215 ms"),
            ("HTTP https://x.example 214 ms", "HTTP https://x.example 215 ms"),
            ("order 6155ac246093840013297377 not found", "order 7f0c not found"),
            ("GET https://x.example/a?page=1&t=ab failed", "GET https://x.example/a?page=2 failed"),
            (
                "GET https://shop.example:8080/orders/450789469.json failed",
                "GET https://shop.example:9/orders/470.json failed",
            ),
            ("no field \"email\" in 'Contact'", "no field \"phone\" in 'Lead'"),
            ("joe@acme.example is unknown", "jim.x+1@other.example is unknown"),
            ("key edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93", "key 00000000-1e0e-4fac-84fd-9f9d4855ce93"),
            ("a  b\n c", "a b c"),
        ] {
            assert_eq!(normalize(a), normalize(b));
        }
    }

    #[test]
    fn words_paths_statuses_and_blocks_are_distinguished() {
        for (a, b) in [
            ("access denied", "access granted"),
            ("GET https://x.example/a failed", "GET https://x.example/b failed"),
            ("can't read, won't try", "can't write, won't try"),
            ("Request failed with status code 403", "Request failed with status code 500"),
            ("HTTP 401", "HTTP 404"),
            ("HTTP/1.1 429 Too Many", "HTTP/1.1 500 Too Many"),
            ("statusCode: 401.", "statusCode: 429."),
            ("status=404", "status=403"),
            ("{\"status\":401}", "{\"status\":404}"),
            ("{'statusCode': '429'}", "{'statusCode': '500'}"),
            ("http_status_code 404", "http_status_code 403"),
            ("error.response.status=401", "error.response.status=403"),
            ("{\"error.code\":\"401\"}", "{\"error.code\":\"403\"}"),
            ("HTTP404", "HTTP403"),
            ("failed with HTTP-404.", "failed with HTTP-403."),
        ] {
            assert_ne!(normalize(a), normalize(b), "{a}");
        }
        assert_ne!(Fingerprint::of("shopify", "x"), Fingerprint::of("slack", "x"));
        assert_eq!(Fingerprint::of("shopify", "x 1"), Fingerprint::of("shopify", "x 2"));
        let fingerprint = Fingerprint::of("shopify", "x");
        assert_eq!(fingerprint.as_str().parse(), Ok(fingerprint.clone()));
        assert_eq!("X".repeat(32).parse::<Fingerprint>(), Err(FingerprintError));
    }

    #[test]
    fn unclosed_quote_keeps_the_length_limit() {
        for part in ["1.", "\"", "``", "a@", "'x ", "https://", "é1"] {
            for before in ["", "\"", "`"] {
                assert!(normalize(&format!("{before}{}", part.repeat(SCAN_BYTES))).len() <= MAX_NORMALIZED_BYTES);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_fingerprint_independent_of_numbers(
            before in "\\PC{0,40}", after in "\\PC{0,40}", a in any::<u64>(), b in any::<u64>(),
        ) {
            let text = |n: u64| format!("{before} {n} {after}");
            prop_assert_eq!(normalize(&text(a)), normalize(&text(b)));
        }

        #[test]
        fn numbers_in_long_texts_are_masked(a in any::<u64>(), b in any::<u64>(), c in any::<char>()) {
            let text = |n: u64| format!("order {n}: {}", format!("{c} at ").repeat(2000));
            prop_assert_eq!(normalize(&text(a)), normalize(&text(b)));
        }
    }
}
