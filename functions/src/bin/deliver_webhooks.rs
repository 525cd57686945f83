//! Serves the function that makes the first attempts to webhooks.

use functions::workers::deliver_webhooks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(deliver_webhooks::deliver_webhooks, deliver_webhooks::state).await
}
