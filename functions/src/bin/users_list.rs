//! Serves `GET /users`.

tenon::main!(serve(functions::api::users::list::list_users));
