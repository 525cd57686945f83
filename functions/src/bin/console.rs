//! Serves `GET /console`.

use functions::api::console;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::Console, console::show_console, console::state).await
}
