//! Serves `POST /users/batch`.

use functions::api::users::batch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_idempotent(batch::create_users, batch::state).await
}
