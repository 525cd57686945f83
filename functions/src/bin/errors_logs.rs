//! Serves `GET /logs`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::errors::logs::list_logs).run()
}
