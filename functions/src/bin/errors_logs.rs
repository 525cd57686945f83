//! Serves `GET /logs`.

tenon::main!(serve(functions::api::errors::logs::list_logs));
