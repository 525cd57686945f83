//! Serves `GET /console`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_public(tenon::http::Public::Console, functions::api::console::show_console).run()
}
