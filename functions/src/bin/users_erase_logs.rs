//! Serves `DELETE /users/{user}/logs`.

use functions::api::users::erase_logs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(erase_logs::erase_logs, erase_logs::state).await
}
