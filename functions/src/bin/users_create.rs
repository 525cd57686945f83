//! Serves `POST /users`.

use functions::users::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve_once(create::create_user, create::state).await
}
