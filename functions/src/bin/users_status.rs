//! Serves `POST /users/{user}/disable` and `…/enable`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::status::set_status).run()
}
