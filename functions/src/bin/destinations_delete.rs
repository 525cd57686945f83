//! Serves `DELETE /destinations/{destinationId}`.

tenon::main!(serve(functions::api::destinations::delete::delete_destination));
