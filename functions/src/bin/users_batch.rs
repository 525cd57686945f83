//! Serves `POST /users/batch`.

tenon::main!(serve(functions::api::users::batch::create_users).idempotent());
