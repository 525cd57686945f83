//! Serves `PATCH /environment`.

tenon::main!(serve(functions::api::environments::patch::patch_environment));
