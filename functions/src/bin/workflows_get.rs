//! Serves `GET /workflows/{workflowId}`.

use functions::api::workflows::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_workflow, get::state).await
}
