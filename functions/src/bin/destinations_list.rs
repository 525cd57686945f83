//! Serves `GET /destinations`.

tenon::main!(serve(functions::api::destinations::list::list_destinations));
