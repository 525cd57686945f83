//! Serves `GET /users`.

use functions::api::users::list;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(list::list_users, list::state).await
}
