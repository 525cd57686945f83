//! Serves `POST /users/{user}/credentials/{credentialId}/reveal`.

tenon::main!(serve(functions::api::credentials::reveal::reveal_credential));
