//! Serves `GET /installations`.

tenon::main!(serve(functions::api::installations::list::list_installations));
