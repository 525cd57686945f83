//! Serves `PUT /integrations/{integrationId}`.

tenon::main!(serve(functions::api::integrations::put::put_integration));
