//! Serves `POST /destinations`.

// The response to the creation of a webhook contains its secret.
tenon::main!(
    serve(functions::api::destinations::create::create_destination).idempotent().encrypted_with("DESTINATIONS_KEY")
);
