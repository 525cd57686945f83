//! Serves the function that erases the errors of users.

use functions::workers::erase_logs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(erase_logs::erase_logs, erase_logs::state).await
}
