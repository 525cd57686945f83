//! Serves the function `signing-keys-rotate`.

tenon::main!(invoke(functions::workers::signing_keys_rotate::rotate_signing_keys));
