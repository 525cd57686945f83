//! Serves the function `revoke-key`.

use functions::keys::revoke;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(revoke::revoke_key, revoke::state).await
}
