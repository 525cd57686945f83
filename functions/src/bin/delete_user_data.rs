//! Serves the function that removes the data of deleted users.

use functions::workers::delete_user_data;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(delete_user_data::delete_user_data, delete_user_data::state).await
}
