//! Serves `PUT /users/{user}/deactivate-workflows`.

tenon::main!(serve(functions::api::workflows::deactivate_all::deactivate_workflows));
