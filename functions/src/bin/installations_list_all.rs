//! Serves `GET /installations`.

tenon::main!(serve(functions::api::installations::list_all::list_installations));
