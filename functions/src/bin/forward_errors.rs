//! Serves the function that forwards recorded errors to destinations.

use functions::workers::forward_errors;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(forward_errors::forward_errors, forward_errors::state).await
}
