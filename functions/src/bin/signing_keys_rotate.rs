//! Serves the function `signing-keys-rotate`.

tenon::main!(invoke(functions::workers::rotate_signing_keys::rotate_signing_keys));
