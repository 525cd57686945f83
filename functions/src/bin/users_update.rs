//! Serves `PUT /users/{user}` and `PATCH /users/{user}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::update::update_user).run()
}
