//! Serves `POST /users/{user}/disable` and `…/enable`.

use functions::api::users::status;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(status::set_status, status::state).await
}
