//! Serves `GET /errors/groups`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::errors::groups::group_errors).run()
}
