//! Serves the function `environments-create`.

use functions::admin::environments_create;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(environments_create::create_environment, environments_create::state).await
}
