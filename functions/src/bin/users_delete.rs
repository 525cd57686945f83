//! Serves `DELETE /users/{user}`.

tenon::main!(serve(functions::api::users::delete::delete_user));
