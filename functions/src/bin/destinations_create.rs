//! Serves `POST /destinations`.

fn main() -> Result<(), tenon::http::StartError> {
    // The response to the creation of a webhook contains its secret.
    tenon::http::serve(functions::api::destinations::create::create_destination)
        .idempotent()
        .encrypted_with("DESTINATIONS_KEY")
        .run()
}
