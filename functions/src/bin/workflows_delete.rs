//! Serves `DELETE /workflows/{workflowId}`.

use functions::api::workflows::delete;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(delete::delete_workflow, delete::state).await
}
