//! Serves `DELETE /users/{user}/logs`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::erase_logs::erase_logs).run()
}
