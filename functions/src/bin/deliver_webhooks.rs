//! Serves the function that makes the first attempts to webhooks.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::deliver_webhooks::deliver_webhooks).run()
}
