//! Serves `POST /workflows/{workflowId}/errors`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::errors::record::record_errors).idempotent().run()
}
