//! Serves `POST /destinations`.

use functions::api::destinations::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(create::create_destination, create::state).await
}
