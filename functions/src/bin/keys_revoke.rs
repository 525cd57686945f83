//! Serves the function `keys-revoke`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::admin::keys_revoke::revoke_key).run()
}
