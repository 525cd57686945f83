//! Envelope encryption against a real KMS API.

use tenon::{
    domain::secret::Sealed,
    vault::{Context, Vault, VaultError},
};
use tests::{Calls, aws, setting};

fn context(environment: &str, owner: &str, purpose: &'static str) -> Context {
    Context { environment: environment.into(), owner: owner.into(), purpose }
}

#[tokio::test]
async fn secret_decrypts_only_in_its_own_context() {
    let vault = Vault::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DESTINATIONS_KEY"));
    let place = context("acme", "destination-1", "destination-credentials");
    let sealed = vault.seal(&place, 1, b"a secret").await.unwrap();
    assert_eq!(&vault.open(&place, &sealed).await.unwrap()[..], b"a secret");

    // A new vault each time has no cached data key.
    for elsewhere in [
        context("other", "destination-1", "destination-credentials"),
        context("acme", "destination-2", "destination-credentials"),
        context("acme", "destination-1", "token-signing"),
    ] {
        let fresh = Vault::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DESTINATIONS_KEY"));
        let refused = fresh.open(&elsewhere, &sealed).await;
        assert!(matches!(refused, Err(VaultError::Undecryptable)), "{refused:?}");
        let refused = vault.open(&elsewhere, &sealed).await;
        assert!(matches!(refused, Err(VaultError::Undecryptable)), "with the data key cached: {refused:?}");
    }
    let replaced = Sealed { version: 2, ..sealed };
    assert!(matches!(vault.open(&place, &replaced).await, Err(VaultError::Undecryptable)));
}

#[tokio::test]
async fn modified_ciphertext_does_not_decrypt() {
    let vault = Vault::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DESTINATIONS_KEY"));
    let place = context("acme", "destination-1", "destination-credentials");
    let sealed = vault.seal(&place, 1, b"a secret").await.unwrap();
    assert!(!sealed.ciphertext.windows(8).any(|window| window == b"a secret"));
    for index in 0..sealed.ciphertext.len() {
        let mut changed = sealed.clone();
        changed.ciphertext[index] ^= 1;
        assert!(matches!(vault.open(&place, &changed).await, Err(VaultError::Undecryptable)), "byte {index}");
    }
    for nonce in [vec![], vec![0; 12], vec![0; 13]] {
        let changed = Sealed { nonce, ..sealed.clone() };
        assert!(matches!(vault.open(&place, &changed).await, Err(VaultError::Undecryptable)));
    }
}

#[tokio::test]
async fn kms_is_called_once_to_seal_and_once_per_process_to_open() {
    let (config, calls) = Calls::count(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    let vault = Vault::new(&config, setting("DESTINATIONS_KEY"));
    let place = context("acme", "destination-1", "destination-credentials");
    let sealed = vault.seal(&place, 1, b"a secret").await.unwrap();
    assert_eq!(calls.take(), ["GenerateDataKey"]);
    for _ in 0..3 {
        vault.open(&place, &sealed).await.unwrap();
    }
    assert_eq!(calls.take(), ["Decrypt"]);
}
