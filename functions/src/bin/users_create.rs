//! Serves `POST /users`.

tenon::main!(serve(functions::api::users::create::create_user).idempotent());
