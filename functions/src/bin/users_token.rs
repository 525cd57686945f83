//! Serves `GET, POST /users/{user}/token`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::token::create_token).run()
}
