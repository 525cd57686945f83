//! Serves `POST /workflows`.

use functions::api::workflows::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(create::create_workflow, create::state).await
}
