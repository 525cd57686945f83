//! Serves `GET /integrations`.

tenon::main!(serve(functions::api::integrations::list::list_integrations));
