//! Serves `GET /destinations`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::list::list_destinations).run()
}
