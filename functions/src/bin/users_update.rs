//! Serves `PUT /users/{user}` and `PATCH /users/{user}`.

use functions::api::users::update;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(update::update_user, update::state).await
}
