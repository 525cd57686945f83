//! Serves `GET /errors/groups`.

tenon::main!(serve(functions::api::errors::groups::group_errors));
