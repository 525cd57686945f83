//! Serves `GET /destinations/{destinationId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::get::get_destination).run()
}
