//! Serves `GET /session`.

use functions::api::session;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(session::show_session, session::state).await
}
