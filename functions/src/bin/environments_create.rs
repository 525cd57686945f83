//! Serves the function `environments-create`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::admin::environments_create::create_environment).run()
}
