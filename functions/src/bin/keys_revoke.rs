//! Serves the function `keys-revoke`.

tenon::main!(invoke(functions::admin::keys_revoke::revoke_key));
