//! Serves `GET, POST /users/{user}/token`.

tenon::main!(serve(functions::api::users::token::create_token));
