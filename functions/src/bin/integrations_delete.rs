//! Serves `DELETE /integrations/{integrationId}`.

tenon::main!(serve(functions::api::integrations::delete::delete_integration));
