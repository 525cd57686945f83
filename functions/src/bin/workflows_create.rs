//! Serves `POST /workflows`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::create::create_workflow).idempotent().run()
}
