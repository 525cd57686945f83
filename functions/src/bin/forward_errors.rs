//! Serves the function that forwards recorded errors to destinations.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::invoke(functions::workers::forward_errors::forward_errors).run()
}
