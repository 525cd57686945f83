//! Serves `POST /destinations/{destinationId}/replay`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::replay::start_replay).idempotent().run()
}
