//! Serves `DELETE /users/{user}`.

use functions::api::users::delete;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(delete::delete_user, delete::state).await
}
