//! Serves `GET /environment`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::environments::get::get_environment).run()
}
