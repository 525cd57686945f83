//! Access keys of destinations, under encryption.

use crate::{
    domain::{delivery::Route, event_bus::AwsCredentials, secret::Sealed},
    vault::{Context, Vault, VaultError},
};

/// Returns the encryption context of a destination's credentials.
fn credentials_context(route: Route) -> Context {
    let Route { environment, destination } = route;
    Context { environment: environment.to_string(), owner: destination.to_string(), purpose: "destination-credentials" }
}

/// Encrypts the credentials of a destination. One KMS call.
pub async fn seal_credentials(
    vault: &Vault,
    route: Route,
    version: u32,
    credentials: &AwsCredentials,
) -> Result<Sealed, VaultError> {
    let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(credentials).map_err(|_| VaultError::Undecryptable)?);
    vault.seal(&credentials_context(route), version, &plaintext).await
}

/// Decrypts the credentials of a destination. At most one KMS call; the vault caches data keys.
pub async fn open_credentials(vault: &Vault, route: Route, sealed: &Sealed) -> Result<AwsCredentials, VaultError> {
    let plaintext = vault.open(&credentials_context(route), sealed).await?;
    serde_json::from_slice(&plaintext).map_err(|_| VaultError::Undecryptable)
}
