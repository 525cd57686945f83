//! Serves `GET /destinations/{destinationId}`.

tenon::main!(serve(functions::api::destinations::get::get_destination));
