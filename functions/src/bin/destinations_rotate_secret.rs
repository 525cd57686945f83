//! Serves `POST /destinations/{destinationId}/rotate-secret`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::rotate_secret::rotate_secret).run()
}
