//! Serves the Lambda authorizer.

use functions::authorizer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(authorizer::authorize, authorizer::state).await
}
