//! Serves `DELETE /workflows/{workflowId}`.

tenon::main!(serve(functions::api::workflows::delete::delete_workflow));
