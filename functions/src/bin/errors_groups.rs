//! Serves `GET /errors/groups`.

use functions::api::errors::groups;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(groups::group_errors, groups::state).await
}
