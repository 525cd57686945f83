//! What every endpoint shares: who is calling, what comes in, what goes out, and how a function starts.

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
