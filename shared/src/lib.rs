//! Core crate of Tenon, which all functions share.
//!
//! * [`domain`]: types and rules without I/O.
//! * [`store`]: storage in DynamoDB.
//! * [`vault`]: encryption of secrets with KMS.
//! * [`tokens`]: user tokens and their signing keys.
//! * [`delivery`]: delivery of records to destinations.
//! * [`http`]: requests, responses and authentication of the API.
//! * [`start`]: state and connections of functions at start-up.
//! * [`aws`], [`logs`], [`metrics`]: configuration of the AWS SDK, logs and metrics.
//! * [`cache`]: cache of what was read from AWS.
//!
//! Dependencies point one way, which a test checks: [`domain`] ← [`store`], [`vault`] ← [`tokens`],
//! [`delivery`] ← [`start`] ← [`http`] ← functions. [`domain`] depends on neither HTTP nor AWS;
//! modules of one rank do not depend on each other.

// The derive macros refer to this crate by its name, here as in other crates.
extern crate self as tenon;

pub mod aws;
pub mod cache;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod start;
pub mod store;
pub mod tokens;
pub mod vault;

/// Defines the `main` function of a binary by what it serves: `serve(handler)`,
/// `serve(handler).idempotent()` or `invoke(function)`, as in [`http`].
#[macro_export]
macro_rules! main {
    ($($server:tt)+) => {
        pub(crate) fn main() -> Result<(), $crate::start::StartError> {
            $crate::http::$($server)+.run()
        }
    };
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    /// Layers, the lowest first. A module imports only modules of lower ranks.
    const RANKS: [&[&str]; 7] = [
        &["domain"],
        &["aws", "cache", "logs", "metrics"],
        &["store", "vault"],
        &["tokens", "delivery"],
        &["start"],
        &["http"],
        &["lib"],
    ];

    fn rank(module: &str) -> usize {
        let rank = RANKS.iter().position(|modules| modules.contains(&module));
        rank.unwrap_or_else(|| panic!("{module} is not in the table of layers"))
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// Returns the top-level modules that a file names, in `use` declarations and elsewhere.
    fn imports(code: &str) -> BTreeSet<&str> {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut imports = BTreeSet::new();
        for (_, rest) in code.match_indices("crate::").map(|(at, path)| code.split_at(at + path.len())) {
            match rest.strip_prefix('{') {
                None => imports.extend(rest.split(|letter| !is_name(letter)).next()),
                Some(group) => {
                    let mut depth = 0;
                    for part in group.split_inclusive(['{', '}', ',']) {
                        let name = part.trim_start().split(|letter| !is_name(letter)).next();
                        imports.extend(name.filter(|name| depth == 0 && !name.is_empty()));
                        match part.chars().last() {
                            Some('{') => depth += 1,
                            Some('}') if depth == 0 => break,
                            Some('}') => depth -= 1,
                            _ => {}
                        }
                    }
                }
            }
        }
        imports
    }

    #[test]
    fn imports_are_found_in_groups_and_paths() {
        let code =
            "use crate::{\n    domain::{id::UserId, user},\n    logs, store::Table};\nfn f() -> crate::vault::Vault";
        assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["domain", "logs", "store", "vault"]);
    }

    #[test]
    fn lower_layers_do_not_import_higher_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut wrong = Vec::new();
        for file in files(&root) {
            let path = file.strip_prefix(&root).unwrap();
            let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            let text = fs::read_to_string(&file).unwrap();
            // Comments may refer to any module, and unit tests may use any.
            let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
            let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            for import in imports(&code.join("\n")) {
                if import != module && rank(import) >= rank(module) {
                    wrong.push(format!("{} imports {import}", path.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
