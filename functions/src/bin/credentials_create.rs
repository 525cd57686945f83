//! Serves `POST /users/{user}/credentials`.

use functions::credentials::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(create::create_credential, create::state).await
}
