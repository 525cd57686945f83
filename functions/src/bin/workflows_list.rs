//! Serves `GET /workflows`.

tenon::main!(serve(functions::api::workflows::list::list_workflows));
