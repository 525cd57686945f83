//! Serves `PATCH /destinations/{destinationId}`.

tenon::main!(serve(functions::api::destinations::patch::patch_destination));
