//! Serves `GET /destinations`.

use functions::api::destinations::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(list::list_destinations, list::state).await
}
