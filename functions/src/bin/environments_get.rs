//! Serves `GET /environment`.

tenon::main!(serve(functions::api::environments::get::get_environment));
