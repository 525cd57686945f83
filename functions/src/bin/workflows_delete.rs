//! Serves `DELETE /workflows/{workflowId}`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::delete::delete_workflow).run()
}
