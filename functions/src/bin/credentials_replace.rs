//! Serves `PUT /users/{user}/credentials/{credentialId}`.

tenon::main!(serve(functions::api::credentials::replace::replace_credential));
