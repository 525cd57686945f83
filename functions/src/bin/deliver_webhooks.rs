//! Serves the function that the queue of first attempts triggers.

use functions::workers::deliver_webhooks;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(deliver_webhooks::deliver_webhooks, deliver_webhooks::state).await
}
