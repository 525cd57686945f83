//! Serves `PUT /workflows/activate` and `…/deactivate`.

use functions::api::workflows::activate;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(activate::set_active, activate::state).await
}
