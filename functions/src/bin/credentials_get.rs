//! Serves `GET /users/{user}/credentials/{credentialId}`.

tenon::main!(serve(functions::api::credentials::get::get_credential));
