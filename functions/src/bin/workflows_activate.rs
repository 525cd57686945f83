//! Serves `PUT /workflows/activate` and `…/deactivate`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::workflows::activate::set_active).run()
}
