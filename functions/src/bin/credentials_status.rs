//! Serves `POST /users/{user}/credentials/{credentialId}/status`.

tenon::main!(serve(functions::api::credentials::status::set_status));
