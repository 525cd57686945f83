//! Serves `GET /users/{user}/credentials` and `GET /credentials/users/{user}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::credentials::list::list_credentials).run()
}
