//! Serves `GET /users/{user}/installations`.

tenon::main!(serve(functions::api::installations::list::list_installations_of_user));
