//! Serves `POST /destinations/{destinationId}/rotate-secret`.

tenon::main!(serve(functions::api::destinations::rotate_secret::rotate_secret));
