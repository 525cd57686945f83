//! Serves `DELETE /users/{user}/credentials/{credentialId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::credentials::delete::delete_credential).run()
}
