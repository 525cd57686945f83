//! Serves `POST /users/{user}/credentials`.

use functions::api::credentials::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(create::create_credential, create::state).await
}
