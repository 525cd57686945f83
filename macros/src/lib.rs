//! Derive macros for the input of endpoints and for the state of functions.

mod from_aws;
mod input;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Derives `tenon::http::Input`, which reads each field from the member of the same name in
/// camelCase and reports all that are invalid.
///
/// The type of a field decides how its member is read: `Option<T>` is optional, `Patch<T>`
/// distinguishes absent from null, and anything else is required.
///
/// Attributes of a field, in `#[input(…)]`:
///
/// * `default` or `default = expression`: optional, with this value if it is absent or null.
/// * `max = expression`: maximum of a number, or of the items of a list, which requires it.
/// * `min = expression`: minimum, 0 by default.
/// * `unique = "member"`: the items of a list differ in this member, a string.
///
/// `#[serde(rename = "name")]` names the member, as in the schema that `utoipa` derives.
///
/// For an enum, derives `tenon::http::FromJson`, which reads the name of a variant: in lower case,
/// or that of `#[serde(rename = "name")]`.
///
/// Attribute of the struct: `#[input(check(function: field, …))]` calls
/// `function(fields, &field, …)` if these fields are valid, and `#[input(check(function))]` calls
/// `function(fields)` in any case. The function reports fields that contradict each other. If it
/// depends only on which fields are given, let it ask for them: a field that is invalid otherwise
/// then hides nothing.
#[proc_macro_derive(Input, attributes(input, serde))]
pub fn derive_input(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    input::expand(&item).unwrap_or_else(Error::into_compile_error).into()
}

/// Derives `tenon::start::FromAws`, which creates each field from AWS.
///
/// Attribute of the struct: `#[aws(connections = expression)]` is the number of concurrent requests
/// to DynamoDB, one by default.
///
/// Attributes of a field, with the name of an environment variable of the function:
///
/// * `#[aws(vault = "NAME")]`: `Vault` with this KMS key, which is connected at start-up.
/// * `#[aws(lazy_vault = "NAME")]`: `Vault` that connects with its first request.
/// * `#[aws(queue = "NAME")]`: `Queue` with this URL.
/// * `#[aws(setting = "NAME")]`: value of the variable itself.
#[proc_macro_derive(FromAws, attributes(aws))]
pub fn derive_from_aws(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    from_aws::expand(&item).unwrap_or_else(Error::into_compile_error).into()
}
