//! Entity tags (RFC 9110, section 8.8.3).

use std::fmt::Display;

/// Returns the ETag of a revision of a resource.
pub(super) fn of_revision(revision: impl Display) -> String {
    format!("\"{revision}\"")
}

/// Returns the ETag of a body.
pub(super) fn of_body(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let half: Vec<u8> = digest.as_ref().iter().take(16).copied().collect();
    format!("\"{}\"", hex::encode(half))
}

/// Returns the ETag of a compressed body, which is another representation than the body itself.
pub(super) fn of_compressed(etag: &str) -> String {
    format!("{}-gzip\"", etag.trim_end_matches('"'))
}

/// Returns whether the list of an `If-Match` header contains an ETag or is `*`. Weak tags match
/// nothing (strong comparison, section 8.8.3.2). The client may have read the compressed form.
pub(super) fn matches(list: &str, etag: &str) -> bool {
    let current = [etag, &of_compressed(etag), "*"];
    list.split(',').any(|tag| current.contains(&tag.trim()))
}

/// Returns whether the list of an `If-None-Match` header contains an ETag or is `*`. Weak tags,
/// into which proxies turn those of bodies that they compress, match too (weak comparison, section
/// 8.8.3.2).
pub(super) fn matches_weakly(list: &str, etag: &str) -> bool {
    list.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| matches(tag, etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_of_either_form_matches() {
        for list in ["\"7\"", "\"7-gzip\"", "\"6\", \"7-gzip\"", "*"] {
            assert!(matches(list, "\"7\"") && matches_weakly(list, "\"7\""), "{list}");
        }
        for list in ["", "\"6\"", "\"6-gzip\"", "\"7-br\"", "7"] {
            assert!(!matches(list, "\"7\"") && !matches_weakly(list, "\"7\""), "{list}");
        }
    }

    #[test]
    fn weak_etag_matches_for_if_none_match_only() {
        for list in ["W/\"7\"", "\"6\",W/\"7-gzip\""] {
            assert!(!matches(list, "\"7\"") && matches_weakly(list, "\"7\""), "{list}");
        }
    }
}
