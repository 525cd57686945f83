//! Serves the function `keys-create`.

tenon::main!(invoke(functions::admin::keys_create::create_key));
