//! Serves the function `list-keys`.

use functions::keys::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(list::list_keys, list::state).await
}
