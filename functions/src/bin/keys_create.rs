//! Serves the function `keys-create`.

use functions::admin::keys_create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(keys_create::create_key, keys_create::state).await
}
