//! Serves `GET /integrations/{integrationId}`.

tenon::main!(serve(functions::api::integrations::get::get_integration));
