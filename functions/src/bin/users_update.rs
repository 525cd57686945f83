//! Serves `PUT /users/{user}` and `PATCH /users/{user}`.

tenon::main!(serve(functions::api::users::update::update_user));
