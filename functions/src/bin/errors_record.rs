//! Serves `POST /workflows/{workflowId}/errors`.

use functions::errors::record;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(record::record_errors, record::state).await
}
