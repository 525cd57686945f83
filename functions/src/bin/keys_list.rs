//! Serves the function `keys-list`.

use functions::admin::keys_list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(keys_list::list_keys, keys_list::state).await
}
