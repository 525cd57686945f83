//! Serves the function that makes the first attempts to webhooks.

tenon::main!(invoke(functions::workers::deliver_webhooks::deliver_webhooks));
