//! Serves `GET /destinations/{destinationId}/deliveries`.

use functions::api::destinations::deliveries;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(deliveries::list_deliveries, deliveries::state).await
}
