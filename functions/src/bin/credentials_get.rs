//! Serves `GET /users/{user}/credentials/{credentialId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::credentials::get::get_credential).run()
}
