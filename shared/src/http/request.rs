//! Path parameters, the route and headers of a request.

use std::{convert::Infallible, fmt::Display, str::FromStr};

use axum::extract::FromRequestParts;
use http::{Extensions, HeaderName, header, request::Parts};
use lambda_http::{RequestExt, aws_lambda_events::apigw::ApiGatewayV2httpRequestContext, request::RequestContext};
use utoipa::IntoParams;

use super::{FieldError, Problem, etag, event::DomainName, input::OtherErrors};
use crate::domain::{
    id::{CredentialId, DestinationId, ErrorId, EventId, ReplayId, WorkflowId},
    integration::IntegrationId,
    names::UserRef,
};

/// Returns the context of a request, as API Gateway passes it.
pub(super) fn gateway_context(extensions: &Extensions) -> Option<&ApiGatewayV2httpRequestContext> {
    match extensions.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

/// Path parameter. A malformed one identifies no resource and returns 404.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// Type that is always used for the same path parameter.
pub trait PathParameter: FromStr {
    /// Name of the parameter in the route.
    const NAME: &'static str;
    /// Name of the resource, for error messages.
    const RESOURCE: &'static str;
}

macro_rules! path_parameters {
    ($($type:ty: $name:literal, $resource:literal;)*) => {$(
        impl PathParameter for $type {
            const NAME: &'static str = $name;
            const RESOURCE: &'static str = $resource;
        }
    )*};
}

path_parameters! {
    UserRef: "user", "user";
    WorkflowId: "workflowId", "workflow";
    CredentialId: "credentialId", "credential";
    DestinationId: "destinationId", "destination";
    ReplayId: "replayId", "replay";
    ErrorId: "errorId", "error";
    EventId: "eventId", "event";
    IntegrationId: "integrationId", "integration";
}

impl<T: PathParameter, S: Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parsed = parameter::<T>(parts).and_then(|text| text.parse().ok());
        parsed.map(Self).ok_or_else(|| Problem::not_found(T::RESOURCE))
    }
}

/// Returns the text of a path parameter.
///
/// Reads it from the event, not from the path: the path can start with the base path of an API
/// mapping and is only partly decoded.
fn parameter<T: PathParameter>(parts: &Parts) -> Option<&str> {
    parts.extensions.path_parameters_ref()?.first(T::NAME)
}

/// Path parameter that names a new resource. A malformed one is an invalid field, not the name of a
/// resource that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPath<T>(pub T);

impl<T: PathParameter<Err: Display>, S: Sync> FromRequestParts<S> for NewPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parsed = parameter::<T>(parts).ok_or_else(|| Problem::not_found(T::RESOURCE))?.parse();
        parsed.map(Self).map_err(|error| {
            let error = FieldError { pointer: format!("/{}", T::NAME), detail: error.to_string() };
            OtherErrors::add(&mut parts.extensions, error.clone());
            Problem::invalid(vec![error])
        })
    }
}

/// Returns the route that API Gateway selected, such as `POST /users/{user}/disable`.
pub(super) fn route(extensions: &Extensions) -> &str {
    gateway_context(extensions).and_then(|context| context.route_key.as_deref()).unwrap_or_default()
}

/// Returns the route of a request and the parameters in its path, sorted by name. They identify
/// what is requested, unlike the path, which can start with the base path of an API mapping.
pub(super) fn route_with_parameters(extensions: &Extensions) -> (&str, Vec<(&str, &str)>) {
    let mut parameters: Vec<_> = extensions.path_parameters_ref().into_iter().flat_map(|map| map.iter()).collect();
    parameters.sort_unstable();
    (route(extensions), parameters)
}

/// Behavior of a handler that serves several routes.
pub trait FromRoute: Copy + 'static {
    /// Each route, such as `POST /users/{user}/disable`, with the behavior on it.
    const ROUTES: &'static [(&'static str, Self)];
}

/// Behavior for the route that API Gateway selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed<T>(pub T);

/// The template leads a route to a function that does not handle it.
#[derive(Debug, thiserror::Error)]
#[error("the function does not handle the route `{0}`")]
struct UnknownRoute(String);

impl<T: FromRoute, S: Sync> FromRequestParts<S> for Routed<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let route = route(&parts.extensions);
        let known = T::ROUTES.iter().find(|(known, _)| *known == route);
        known.map(|(_, action)| Self(*action)).ok_or_else(|| Problem::internal(&UnknownRoute(route.to_owned())))
    }
}

/// Query parameters of a page, which ignores those that it does not know.
#[derive(Clone, Debug)]
pub struct HtmlQuery(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for HtmlQuery {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.query_string_parameters().iter().collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for HtmlQuery {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(parameters: I) -> Self {
        Self(parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl HtmlQuery {
    /// Returns the values of a parameter, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Base URL of the API that the client of a request used, without a slash at the end: the domain,
/// and the base path of a custom domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(pub String);

impl<S: Sync> FromRequestParts<S> for ApiUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let domain = parts.extensions.get::<DomainName>().map_or("", |DomainName(domain)| domain);
        let path = gateway_context(&parts.extensions).and_then(|context| context.http.path.as_deref());
        let route = route(&parts.extensions);
        Ok(Self(format!("https://{domain}{}", base_path(path.unwrap_or_default(), route))))
    }
}

/// Returns the part of a path before that of the route.
fn base_path<'p>(path: &'p str, route: &str) -> &'p str {
    let length = path.rmatch_indices('/').nth(route.matches('/').count().saturating_sub(1)).map(|(at, _)| at);
    path.split_at(length.unwrap_or_default()).0
}

/// `If-Match` header of a request (RFC 9110, section 13.1.1), if present.
#[derive(Clone, Debug, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatch {
    /// ETag of the expected version.
    #[param(rename = "If-Match")]
    etags: Option<String>,
}

impl IfMatch {
    /// Rejects the request with 412 if the header does not permit changing this revision of a
    /// resource, whose ETag [`Revised`](super::Revised) returns.
    pub fn check_revision(&self, revision: impl Display) -> Result<(), Problem> {
        let detail = "the ETag in `If-Match` is not that of the resource, which may have changed; read it again";
        let is_permitted = self.etags.as_ref().is_none_or(|list| etag::matches(list, &etag::of_revision(revision)));
        if is_permitted { Ok(()) } else { Err(Problem::precondition_failed(detail)) }
    }

    /// Rejects the request with 412 if the header requires an existing resource: there is none.
    pub fn check_absent(&self) -> Result<(), Problem> {
        let detail = "the resource does not exist, and `If-Match` requires that it does";
        if self.etags.is_none() { Ok(()) } else { Err(Problem::precondition_failed(detail)) }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { etags: etags(parts, header::IF_MATCH) })
    }
}

/// `If-None-Match` header of a request that may create a resource (RFC 9110, section 13.1.2), if
/// present.
#[derive(Clone, Debug, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatch {
    /// `*`, so that nothing is changed if the resource exists.
    #[param(rename = "If-None-Match")]
    etags: Option<String>,
}

impl IfNoneMatch {
    /// Rejects the request with 412 if the header does not permit changing this revision of a
    /// resource: `*` permits none.
    pub fn check_revision(&self, revision: impl Display) -> Result<(), Problem> {
        let etag = etag::of_revision(revision);
        let is_permitted = self.etags.as_ref().is_none_or(|list| !etag::matches_weakly(list, &etag));
        if is_permitted {
            Ok(())
        } else {
            Err(Problem::precondition_failed("the resource exists, or has the ETag in `If-None-Match`"))
        }
    }
}

/// Conditional headers of a request that creates or changes a resource.
#[derive(Clone, Debug)]
pub struct Preconditions {
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
}

impl Preconditions {
    /// Rejects the request with 412 if a header does not permit changing this revision of a
    /// resource.
    pub fn check_revision(&self, revision: impl Display + Copy) -> Result<(), Problem> {
        self.if_match.check_revision(revision)?;
        self.if_none_match.check_revision(revision)
    }

    /// Rejects the request with 412 if a header requires an existing resource: there is none.
    pub fn check_absent(&self) -> Result<(), Problem> {
        self.if_match.check_absent()
    }
}

impl<S: Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let if_none_match = IfNoneMatch { etags: etags(parts, header::IF_NONE_MATCH) };
        Ok(Self { if_match: IfMatch::from_request_parts(parts, state).await?, if_none_match })
    }
}

fn etags(parts: &Parts, name: HeaderName) -> Option<String> {
    parts.headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_permits_the_present_revision_only() {
        let permits = |etags: Option<&str>| IfMatch { etags: etags.map(str::to_owned) }.check_revision(7).is_ok();
        for etags in [None, Some("\"7\""), Some("\"6\", \"7-gzip\""), Some("*")] {
            assert!(permits(etags), "{etags:?}");
        }
        for etags in ["", "\"6\"", "W/\"7\""] {
            assert!(!permits(Some(etags)), "{etags}");
        }
    }

    #[test]
    fn if_none_match_permits_other_revisions_only() {
        let permits = |etags: Option<&str>| IfNoneMatch { etags: etags.map(str::to_owned) }.check_revision(7).is_ok();
        assert!(permits(None) && permits(Some("\"6\"")));
        for etags in ["*", "\"7\"", "\"6\", \"7-gzip\"", "W/\"7\""] {
            assert!(!permits(Some(etags)), "{etags}");
        }
    }

    #[test]
    fn base_path_is_what_precedes_the_route() {
        let route = "GET /users/{user}/integrations/{integrationId}/install-url";
        for (path, base) in [
            ("/users/joe/integrations/a/install-url", ""),
            ("/2024-03/users/joe@acme.example/integrations/a/install-url", "/2024-03"),
            ("/a/b/users/joe/integrations/a/install-url", "/a/b"),
            ("", ""),
        ] {
            assert_eq!(base_path(path, route), base);
        }
    }
}
