//! Serves `POST /workflows/{workflowId}/errors`.

use functions::api::errors::record;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(record::record_errors, record::state).await
}
