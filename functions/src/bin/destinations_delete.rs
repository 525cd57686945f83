//! Serves `DELETE /destinations/{destinationId}`.

use functions::destinations::delete;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(delete::delete_destination, delete::state).await
}
