//! Serves `POST /users/{user}/credentials`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::credentials::create::create_credential).idempotent().run()
}
