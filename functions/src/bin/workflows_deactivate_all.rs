//! Serves `PUT /users/{user}/deactivate-workflows`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::deactivate_all::deactivate_workflows).run()
}
