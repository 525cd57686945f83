//! Serves `POST /users/{user}/disable` and `…/enable`.

tenon::main!(serve(functions::api::users::status::set_status));
