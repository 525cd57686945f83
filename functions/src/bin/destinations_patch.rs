//! Serves `PATCH /destinations/{destinationId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::patch::patch_destination).run()
}
