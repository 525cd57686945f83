//! Serves `GET /workflows/{workflowId}/errors`.

use functions::api::errors::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(list::list_errors, list::state).await
}
