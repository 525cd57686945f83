//! Serves `POST /users/{user}/credentials/{credentialId}/reveal`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::credentials::reveal::reveal_credential).run()
}
