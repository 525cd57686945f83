//! Serves `PUT /workflows/activate` and `…/deactivate`.

tenon::main!(serve(functions::api::workflows::activate::set_active));
