//! Serves `PATCH /destinations/{destinationId}`.

use functions::api::destinations::patch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(patch::patch_destination, patch::state).await
}
