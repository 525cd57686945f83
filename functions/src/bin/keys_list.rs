//! Serves the function `keys-list`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::admin::keys_list::list_keys).run()
}
