//! Serves `DELETE /users/{user}/credentials/{credentialId}`.

tenon::main!(serve(functions::api::credentials::delete::delete_credential));
