//! Serves `PUT /users/{user}/installations/{integrationId}`.

tenon::main!(serve(functions::api::installations::put::put_installation));
