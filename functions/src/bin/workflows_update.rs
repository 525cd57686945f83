//! Serves `PATCH /workflows/{workflowId}`.

tenon::main!(serve(functions::api::workflows::update::patch_workflow));
