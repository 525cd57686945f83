//! Serves `POST /users/{user}/credentials`.

tenon::main!(serve(functions::api::credentials::create::create_credential).idempotent());
