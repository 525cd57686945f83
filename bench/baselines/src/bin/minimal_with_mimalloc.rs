//! Handwritten function that makes given AWS calls, see [`baselines::minimal`], with the allocator
//! of `errors_record`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    baselines::minimal::run().await
}
