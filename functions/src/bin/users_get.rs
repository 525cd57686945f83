//! Serves `GET /users/{user}`.

use functions::api::users::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(get::get_user, get::state).await
}
