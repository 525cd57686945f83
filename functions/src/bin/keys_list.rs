//! Serves the function `keys-list`.

tenon::main!(invoke(functions::admin::keys_list::list_keys));
