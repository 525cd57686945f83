//! Serves `POST /destinations`.

use functions::destinations::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(create::create_destination, create::state).await
}
