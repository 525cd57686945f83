//! Serves the function `keys-create`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::admin::keys_create::create_key).run()
}
