//! Serves `GET /users/{user}/integrations/{integrationId}/install-url`.

tenon::main!(serve(functions::api::integrations::install_url::create_install_url));
