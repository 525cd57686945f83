//! Serves `GET /users`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::users::list::list_users).run()
}
