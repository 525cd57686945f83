//! What every endpoint shares: who is calling, what comes in, what goes out, and how a function starts.

mod callers;
mod idempotency;
mod input;
mod pages;
mod problem;
mod responses;
mod serve;

pub use callers::{AnyPrincipal, Backend, BackendOrUser, Caller, Engine, EngineOrBackend, Identity, TokenUser};
pub use idempotency::{KnowsRequests, serve_once, service_once};
pub use input::{At, Fields, FromJson, IfMatch, Input, JsonBody, Optional, Path, PathParameter, RouteKey, Valid};
pub use pages::{Cursor, Limit};
pub use problem::{FieldError, Problem, ProblemDocument};
pub use responses::{Accepted, Cacheable, Created, JSON_FOR_FIVE_MINUTES, Json, Private, Tagged};
pub use serve::{Public, StartError, StartsWithCaller, invoke, serve, serve_public, service, start};
