//! Signing keys: created here, sealed by the vault, and published as a JWK set (RFC 7517).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    es256, rotation,
    token::{self, Claims, TokenError},
};
use crate::{
    aws::start_up_step,
    cache::WallClockCache,
    domain::{signing_key::StoredKey, timestamp::Timestamp},
    logs::ErrorChain,
    store::{ReadOnly, StoreError, signing_keys::SigningKeys},
    vault::{Context, Vault, VaultError},
};

/// Error while creating or loading a signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The vault failed to seal or open the key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The table failed to store or return the key.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No signing key exists yet. Creating the first environment creates one.
    #[error("no signing key exists yet")]
    NoSigningKey,
    /// A signing key could not be generated, parsed or used.
    #[error("failed to generate, parse or use a signing key")]
    Unusable,
}

fn context(kid: &str) -> Context {
    Context { environment: "stack".into(), owner: kid.to_owned(), purpose: "token-signing" }
}

/// Creates a signing key and seals its private part. One KMS call.
pub async fn create_signing_key(vault: &Vault, signs_from: Timestamp) -> Result<StoredKey, KeyError> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .map_err(|_| KeyError::Unusable)?;
    let private_key = Zeroizing::new(document.as_ref().to_vec());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private_key, &SystemRandom::new())
        .map_err(|_| KeyError::Unusable)?;
    let public_key = pair.public_key().as_ref().to_vec();
    let kid = Jwk::new(String::new(), &public_key).thumbprint();
    let private_key = vault.seal(&context(&kid), 1, &private_key).await?;
    Ok(StoredKey { kid, public_key, private_key, created_at: Timestamp::now(), signs_from })
}

/// Public key as a JSON Web Key (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwk {
    /// Key type: `EC`.
    pub kty: &'static str,
    /// Curve: `P-256`.
    pub crv: &'static str,
    /// X coordinate of the point, base64url.
    pub x: String,
    /// Y coordinate of the point, base64url.
    pub y: String,
    /// Key id.
    pub kid: String,
    /// Key use: `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Algorithm: `ES256`.
    pub alg: &'static str,
}

impl Jwk {
    fn new(kid: String, public_key: &[u8]) -> Self {
        // The byte 0x04, then two coordinates of 32 bytes each.
        let (x, y) = public_key.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Self { kty: "EC", crv: "P-256", x: encode(x), y: encode(y), kid, usage: "sig", alg: "ES256" }
    }

    /// Computes the thumbprint of RFC 7638: the SHA-256 of the required members in lexicographic
    /// order.
    fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y, .. } = self;
        let members = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, members.as_bytes()))
    }
}

/// Public keys of the stack (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwks {
    /// Public keys, newest first.
    pub keys: Vec<Jwk>,
}

impl Jwks {
    /// Creates the set of the public parts of all stored keys.
    pub fn new(stored: &[StoredKey]) -> Self {
        Self { keys: stored.iter().map(|key| Jwk::new(key.kid.clone(), &key.public_key)).collect() }
    }
}

/// Cache of the keys of the stack, as a verifier or a signer uses them.
type KeyCache<T> = WallClockCache<(), Arc<T>>;

fn key_cache<T: Send + Sync + 'static>() -> KeyCache<T> {
    WallClockCache::new(rotation::KEYS_TTL, 1)
}

/// Signs user tokens with the current key. Makes no AWS call while the keys are cached.
#[derive(Clone)]
pub struct Signer {
    keys: SigningKeys<ReadOnly>,
    vault: Vault,
    cache: KeyCache<Vec<StoredKey>>,
}

impl Signer {
    /// Creates a signer, and loads and opens the current key if there is one.
    pub async fn load(keys: SigningKeys<ReadOnly>, vault: Vault) -> Self {
        es256::install();
        let signer = Self { keys, vault, cache: key_cache() };
        if let Some(Err(error)) = start_up_step(signer.current(Timestamp::now())).await {
            tracing::warn!(error = %ErrorChain(&error), "no signing key at start-up");
        }
        signer
    }

    /// Returns the id and the current signing key. The vault caches its data key, so that opening
    /// it needs no further KMS call.
    async fn current(&self, now: Timestamp) -> Result<(String, EncodingKey), KeyError> {
        let read = || async {
            let stored = self.keys.list().await?;
            // The absence of keys is not cached, because the first environment can create one at
            // any time.
            if stored.is_empty() { Err(KeyError::NoSigningKey) } else { Ok(Arc::new(stored)) }
        };
        let stored = self.cache.get_or_read((), read).await?;
        let signs_from: Vec<Timestamp> = stored.iter().map(|key| key.signs_from).collect();
        let key =
            rotation::current(&signs_from, now).and_then(|index| stored.get(index)).ok_or(KeyError::NoSigningKey)?;
        let private_key = self.vault.open(&context(&key.kid), &key.private_key).await?;
        Ok((key.kid.clone(), EncodingKey::from_ec_der(&private_key)))
    }

    /// Returns a signed token with these claims.
    pub async fn sign(&self, claims: &Claims, now: Timestamp) -> Result<String, KeyError> {
        let (kid, key) = self.current(now).await?;
        token::sign(claims, &kid, &key).map_err(|_| KeyError::Unusable)
    }
}

/// Verifies user tokens. Makes no AWS call while the keys are cached.
#[derive(Clone)]
pub struct Verifier {
    keys: SigningKeys<ReadOnly>,
    issuer: String,
    cache: KeyCache<HashMap<String, DecodingKey>>,
    /// Time of the last refresh because of an unknown key id, in milliseconds since 1970.
    last_refresh: Arc<AtomicI64>,
}

/// Minimum interval between refreshes because of unknown key ids, so that invented ids cause no
/// load.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

impl Verifier {
    /// Creates a verifier and loads the public keys.
    pub async fn load(keys: SigningKeys<ReadOnly>, issuer: String) -> Self {
        es256::install();
        let verifier = Self { keys, issuer, cache: key_cache(), last_refresh: Arc::default() };
        if let Some(Err(error)) = start_up_step(verifier.public_keys()).await {
            tracing::warn!(error = %ErrorChain(&error), "no signing keys at start-up");
        }
        verifier
    }

    async fn public_keys(&self) -> Result<Arc<HashMap<String, DecodingKey>>, StoreError> {
        self.cache.get_or_read((), || self.read()).await
    }

    async fn read(&self) -> Result<Arc<HashMap<String, DecodingKey>>, StoreError> {
        let stored = self.keys.list().await?;
        // `Es256Verifier` takes the uncompressed point in place of DER.
        let keys = stored.into_iter().map(|key| (key.kid, DecodingKey::from_ec_der(&key.public_key)));
        Ok(Arc::new(keys.collect()))
    }

    fn may_refresh(&self) -> bool {
        let now = Timestamp::now().milliseconds();
        let before = self.last_refresh.load(Ordering::Relaxed);
        let wait = i64::try_from(MIN_REFRESH_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        // Only one of several concurrent callers refreshes.
        now.saturating_sub(before) >= wait
            && self.last_refresh.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Verifies a token of this stack and returns its claims. The caller must also check that the
    /// user may still use the token.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let kid = token::key_id(token)?;
        let mut keys = self.public_keys().await?;
        if !keys.contains_key(&kid) && self.may_refresh() {
            // The key may have been created after the set was read.
            keys = self.cache.read((), || self.read()).await?;
        }
        let key = keys.get(&kid).ok_or(TokenError::UnknownKey)?;
        Ok(token::verify(token, key, &self.issuer, now)?)
    }
}

/// Error while verifying a token.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The token is invalid.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// The public keys could not be read.
    #[error("failed to read the public keys")]
    Store(#[from] StoreError),
}
