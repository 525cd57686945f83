//! Serves `GET /users/{user}/credentials/{credentialId}`.

use functions::api::credentials::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_credential, get::state).await
}
