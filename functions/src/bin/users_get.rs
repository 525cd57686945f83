//! Serves `GET /users/{user}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::get::get_user).run()
}
