//! Serves `POST /destinations/{destinationId}/test`.

fn main() -> Result<(), tenon::http::StartError> {
    tenon::http::serve(functions::api::destinations::test::test_destination).run()
}
