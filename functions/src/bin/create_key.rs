//! Serves the function `create-key`.

use functions::keys::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(create::create_key, create::state).await
}
