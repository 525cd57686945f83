//! Serves the function that removes the data of deleted users.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::delete_user_data::delete_user_data).run()
}
