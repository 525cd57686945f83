//! Serves `GET /workflows`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::list::list_workflows).run()
}
