//! Serves the Lambda authorizer.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::authorizer::authorize).run()
}
