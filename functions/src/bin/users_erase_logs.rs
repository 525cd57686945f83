//! Serves `DELETE /users/{user}/logs`.

tenon::main!(serve(functions::api::users::erase_logs::erase_logs));
