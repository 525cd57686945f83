//! Serves `GET /errors/{errorId}`.

tenon::main!(serve(functions::api::errors::get::get_error));
