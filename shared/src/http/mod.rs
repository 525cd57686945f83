//! HTTP layer that all endpoint functions share.
//!
//! API Gateway authenticates and routes a request, then invokes one function per endpoint. This
//! layer turns the Lambda event into the typed arguments of an axum handler, and the handler's
//! result into a response. Every handler names the callers that it admits in its signature, so that
//! no endpoint can omit the check.
//!
//! * `body`: JSON bodies: text, syntax and duplicate members
//! * `callers`: the caller of a request, and the checks that lead to 401 and 403
//! * `compression`: compression of responses
//! * `conflicts`: attempts of changes that conflict with other requests
//! * `endpoint`: handlers of endpoints, and the order in which their arguments refuse a request
//! * `etag`: entity tags, and the lists of conditional headers
//! * `event`: events of API Gateway, read as requests
//! * `idempotency`: the `Idempotency-Key` header
//! * `input`: query strings and JSON bodies; `values`: how each type is read
//! * `pages`: page limits and cursors of lists
//! * `problem`: error responses as problem documents (RFC 9457), with the conversions of each
//!   resource's errors in modules of their own
//! * `request`: path and page parameters, the route, the base URL, and conditional headers
//! * `responses`: success responses, including ETags and caching
//! * `serve`: entry points of functions, request logs and panics

mod body;
mod callers;
mod compression;
mod conflicts;
mod endpoint;
mod etag;
mod event;
mod idempotency;
mod input;
mod pages;
mod problem;
mod request;
mod responses;
mod serve;
mod values;

pub use callers::{
    AnyCaller, Backend, BackendOrUser, Caller, Engine, EngineOrBackend, Identity, TokenUser, only_reads,
};
pub use conflicts::Conflicts;
pub use endpoint::{Endpoint, EndpointArguments};
pub use idempotency::{IdempotencyKey, Idempotent, IdempotentServer, idempotent_service};
pub use input::{Bounded, Fields, FromJson, Input, Location, NoInput, Optional, RequestInput, Valid};
pub use macros::Input;
pub use pages::{List, ListScope, PageParams};
pub use problem::{FieldError, FieldErrors, OrNotFound, Problem, ProblemDocument, ProblemType};
pub use request::{
    ApiUrl, FromRoute, HtmlQuery, IfMatch, IfNoneMatch, NewPath, Path, PathParameter, Preconditions, Routed,
};
pub use responses::{Accepted, Cacheable, Created, JSON_FOR_FIVE_MINUTES, Json, NoStore, Revised};
pub use serve::{Function, Public, Server, invoke, serve, serve_public, service};

pub use crate::start::StartError;
