//! Serves `POST /workflows`.

use functions::workflows::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(create::create_workflow, create::state).await
}
