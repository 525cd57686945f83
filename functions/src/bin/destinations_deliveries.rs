//! Serves `GET /destinations/{destinationId}/deliveries`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::deliveries::list_deliveries).run()
}
