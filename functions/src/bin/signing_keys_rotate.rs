//! Serves the function `signing-keys-rotate`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::rotate_signing_keys::rotate_signing_keys).run()
}
