//! Serves `GET, POST /users/{user}/token`.

use functions::api::users::token;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(token::create_token, token::state).await
}
