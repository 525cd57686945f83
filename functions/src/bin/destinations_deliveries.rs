//! Serves `GET /destinations/{destinationId}/deliveries`.

tenon::main!(serve(functions::api::destinations::deliveries::list_deliveries));
