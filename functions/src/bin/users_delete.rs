//! Serves `DELETE /users/{user}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::delete::delete_user).run()
}
