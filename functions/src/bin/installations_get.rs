//! Serves `GET /users/{user}/installations/{integrationId}`.

tenon::main!(serve(functions::api::installations::get::get_installation));
