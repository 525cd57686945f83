//! Serves `POST /workflows`.

tenon::main!(serve(functions::api::workflows::create::create_workflow).idempotent());
