//! Serves `GET /errors/{errorId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::errors::get::get_error).run()
}
