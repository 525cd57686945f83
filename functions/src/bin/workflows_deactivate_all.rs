//! Serves `PUT /users/{user}/deactivate-workflows`.

use functions::api::workflows::deactivate_all;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(deactivate_all::deactivate_workflows, deactivate_all::state).await
}
