//! Serves `POST /destinations/{destinationId}/test`.

use functions::api::destinations::test;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(test::test_destination, test::state).await
}
