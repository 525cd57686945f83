//! Serves the function that removes what deleted users owned.

use functions::remove_owned;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(remove_owned::remove_owned, remove_owned::state).await
}
