//! Handwritten function that makes given AWS calls, see [`baselines::minimal`].

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    baselines::minimal::run().await
}
