//! Serves `POST /destinations/{destinationId}/test`.

tenon::main!(serve(functions::api::destinations::test::test_destination));
