//! Serves `POST /users/{user}/credentials/{credentialId}/reveal`.

use functions::api::credentials::reveal;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(reveal::reveal_credential, reveal::state).await
}
