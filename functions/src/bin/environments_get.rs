//! Serves `GET /environment`.

use functions::api::environments::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_environment, get::state).await
}
