//! Serves the function `keys-revoke`.

use functions::admin::keys_revoke;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(keys_revoke::revoke_key, keys_revoke::state).await
}
