//! Serves `GET /workflows/{workflowId}/errors`.

tenon::main!(serve(functions::api::errors::list::list_errors));
