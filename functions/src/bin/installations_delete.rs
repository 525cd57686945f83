//! Serves `DELETE /users/{user}/installations/{integrationId}`.

tenon::main!(serve(functions::api::installations::delete::delete_installation));
