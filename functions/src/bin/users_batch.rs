//! Serves `POST /users/batch`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::batch::create_users).idempotent().run()
}
