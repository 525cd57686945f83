//! Serves `DELETE /users/{user}/credentials/{credentialId}`.

use functions::api::credentials::delete;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(delete::delete_credential, delete::state).await
}
