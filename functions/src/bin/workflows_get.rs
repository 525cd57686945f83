//! Serves `GET /workflows/{workflowId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::get::get_workflow).run()
}
