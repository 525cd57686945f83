//! Serves the Lambda authorizer.

tenon::main!(invoke(functions::authorizer::authorize));
