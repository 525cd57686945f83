//! Serves the function `environments-create`.

tenon::main!(invoke(functions::admin::environments_create::create_environment));
