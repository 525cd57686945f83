//! Serves `POST /users`.

use functions::api::users::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(create::create_user, create::state).await
}
