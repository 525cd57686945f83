//! Serves the function that erases the errors of users.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::erase_logs::erase_logs).run()
}
