//! Serves the function `rotate-signing-keys`.

use functions::signing_keys::rotate;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(rotate::rotate_signing_keys, rotate::state).await
}
