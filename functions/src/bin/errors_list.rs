//! Serves `GET /workflows/{workflowId}/errors`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::errors::list::list_errors).run()
}
