//! Serves `GET /tenon.js` and `GET /tenon.global.js`.

tenon::main!(serve_public(tenon::http::Public::Sdk, functions::api::modal::sdk::get_tenon_js));
