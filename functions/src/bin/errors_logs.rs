//! Serves `GET /logs`.

use functions::api::errors::logs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(logs::list_logs, logs::state).await
}
