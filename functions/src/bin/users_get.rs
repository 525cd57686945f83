//! Serves `GET /users/{user}`.

tenon::main!(serve(functions::api::users::get::get_user));
