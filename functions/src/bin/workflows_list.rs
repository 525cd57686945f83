//! Serves `GET /workflows`.

use functions::api::workflows::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(list::list_workflows, list::state).await
}
