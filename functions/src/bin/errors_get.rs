//! Serves `GET /errors/{errorId}`.

use functions::api::errors::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_error, get::state).await
}
