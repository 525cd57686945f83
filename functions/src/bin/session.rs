//! Serves `GET /session`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::session::show_session).run()
}
