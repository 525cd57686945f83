//! Serves `GET /users/{user}/credentials` and `GET /credentials/users/{user}`.

tenon::main!(serve(functions::api::credentials::list::list_credentials));
