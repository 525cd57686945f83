//! Serves the function `create-environment`.

use functions::environments::create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(create::create_environment, create::state).await
}
