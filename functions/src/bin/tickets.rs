//! Serves `POST /tickets`.

tenon::main!(serve_public(tenon::http::Public::Tickets, functions::api::tickets::exchange_ticket));
