//! Serves `GET /users/{user}/credentials` and `GET /credentials/users/{user}`.

use functions::api::credentials::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(list::list_credentials, list::state).await
}
