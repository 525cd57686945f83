//! Serves `GET /destinations/{destinationId}`.

use functions::api::destinations::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_destination, get::state).await
}
