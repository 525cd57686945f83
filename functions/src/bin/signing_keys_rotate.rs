//! Serves the function `signing-keys-rotate`.

use functions::workers::rotate_signing_keys;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(rotate_signing_keys::rotate_signing_keys, rotate_signing_keys::state).await
}
