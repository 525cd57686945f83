//! Serves `POST /users`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::create::create_user).idempotent().run()
}
