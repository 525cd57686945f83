//! Serves `POST /destinations/{destinationId}/rotate-secret`.

use functions::api::destinations::rotate_secret;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(rotate_secret::rotate_secret, rotate_secret::state).await
}
