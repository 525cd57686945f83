//! HTTP layer that all endpoint functions share.
//!
//! API Gateway authenticates and routes a request, then invokes one function per endpoint. This
//! layer turns the Lambda event into the typed arguments of an axum handler, and the handler's
//! result into a response. Every handler names the callers that it admits in its signature, so that
//! no endpoint can omit the check.
//!
//! * `callers`: the caller of a request, and the checks that lead to 401 and 403
//! * `idempotency`: the `Idempotency-Key` header
//! * `input`: path parameters, query strings and JSON bodies, with validation
//! * `pages`: page limits and cursors of lists
//! * `problem`: error responses as problem documents (RFC 9457)
//! * `responses`: success responses, including ETags and caching
//! * `serve`: start of a function, request logs and panics

mod callers;
mod idempotency;
mod input;
mod pages;
mod problem;
mod responses;
mod serve;

pub use callers::{AnyCaller, Backend, BackendOrUser, Caller, Engine, EngineOrBackend, Identity, TokenUser};
pub use idempotency::{IdempotentState, idempotent_service, serve_idempotent};
pub use input::{Fields, FromJson, IfMatch, Input, JsonBody, Location, Optional, Path, PathParameter, RouteKey, Valid};
pub use pages::{Cursor, Limit};
pub use problem::{FieldError, Problem, ProblemDocument};
pub use responses::{Accepted, Cacheable, Created, JSON_FOR_FIVE_MINUTES, Json, NoStore, WithEtag};
pub use serve::{Public, StartError, StartsWithCaller, invoke, serve, serve_public, service, start};
