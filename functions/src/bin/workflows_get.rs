//! Serves `GET /workflows/{workflowId}`.

tenon::main!(serve(functions::api::workflows::get::get_workflow));
