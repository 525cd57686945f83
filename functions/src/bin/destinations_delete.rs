//! Serves `DELETE /destinations/{destinationId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::delete::delete_destination).run()
}
