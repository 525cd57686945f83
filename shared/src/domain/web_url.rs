//! URLs of the web.

use url::Url;

/// Parses a complete URL with the scheme `https` or `http`. Returns `None` for a text whose host
/// the URL standard finds only after it has completed or repaired it, such as `https:example.com`
/// or `https:\\example.com`: other parsers would find none.
pub(super) fn complete_url(text: &str) -> Option<Url> {
    // The standard removes whitespace and control characters, which are more likely a mistake.
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return None;
    }
    let (_, rest) = text.split_once(':')?;
    // It turns `\` before a query into `/`.
    let address = rest.strip_prefix("//")?.split(['?', '#']).next()?;
    if address.is_empty() || address.starts_with('/') || address.contains('\\') {
        return None;
    }
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_complete_url_names_its_host_after_the_scheme(text in r"(https?|ftp|HTTPS)?:?[/\\]{0,3}[a-z.:@\\ ]{0,8}[/?#]?[a-z\\]{0,3}") {
            if let Some(url) = complete_url(&text) {
                let authority = text.split_once("://").unwrap().1.split(['/', '?', '#']).next().unwrap();
                let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
                let host = url.host_str().unwrap();
                prop_assert!(address.starts_with(host), "{text} has the host {host}");
            }
        }
    }
}
