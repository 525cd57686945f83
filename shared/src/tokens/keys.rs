//! Signing keys: made here, sealed by the vault, published as a JWK set (RFC 7517).

use std::{
    collections::HashMap,
    future::Future,
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
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    es256, rotation,
    token::{self, Claims, TokenError},
};
use crate::{
    domain::{secret::Sealed, timestamp::Timestamp},
    logs::ErrorChain,
    store::{StoreError, signing_keys::SigningKeys},
    vault::{Context, Vault, VaultError},
};

/// A signing key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    /// Names the key: the thumbprint of its public part (RFC 7638).
    pub kid: String,
    /// The public part: an uncompressed point of P-256, 65 bytes.
    #[serde(with = "serde_bytes")]
    pub public_key: Vec<u8>,
    /// The private part: a PKCS #8 document, sealed.
    pub private_key: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it signs, until another does.
    pub signs_from: Timestamp,
}

/// Why no key could be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The vault did not seal or open it.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The table did not hold or give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no signing key yet: the first environment makes it.
    #[error("there is no signing key yet")]
    NoSigningKey,
    /// A stored key is not a key.
    #[error("a signing key cannot be used")]
    Unusable,
}

fn context(kid: &str) -> Context {
    Context { environment: "stack".into(), owner: kid.to_owned(), purpose: "token-signing" }
}

/// Makes a signing key and seals its private part. One KMS call.
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

/// A public key as a JSON Web Key (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwk {
    /// The type of key: `EC`.
    pub kty: &'static str,
    /// The curve: `P-256`.
    pub crv: &'static str,
    /// The point's first coordinate.
    pub x: String,
    /// The point's second coordinate.
    pub y: String,
    /// Names the key.
    pub kid: String,
    /// What the key is for: `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// The one algorithm that it is used with: `ES256`.
    pub alg: &'static str,
}

impl Jwk {
    fn new(kid: String, public_key: &[u8]) -> Self {
        // 0x04, then two coordinates of 32 bytes each.
        let (x, y) = public_key.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Self { kty: "EC", crv: "P-256", x: encode(x), y: encode(y), kid, usage: "sig", alg: "ES256" }
    }

    /// RFC 7638: the SHA-256 of the required members in the order of their names.
    fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y, .. } = self;
        let members = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, members.as_bytes()))
    }
}

/// The public keys of the stack (RFC 7517, 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Jwks {
    /// The keys, the newest first.
    pub keys: Vec<Jwk>,
}

impl Jwks {
    /// The set of all stored keys' public parts.
    pub fn new(stored: &[StoredKey]) -> Self {
        Self { keys: stored.iter().map(|key| Jwk::new(key.kid.clone(), &key.public_key)).collect() }
    }
}

/// What was read a short while ago. Its age is taken from the wall clock: the monotonic one may stand still while Lambda
/// freezes a process.
struct TimedCache<T>(Mutex<Option<(Timestamp, Arc<T>)>>);

impl<T> TimedCache<T> {
    fn empty() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    /// What was read within [`rotation::KEYS_TTL`] and not before `since`, or what is read now; callers at once wait for
    /// one read.
    async fn get<E>(&self, since: Timestamp, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let mut cached = self.0.lock().await;
        let now = Timestamp::now();
        match &*cached {
            Some((read_at, value)) if *read_at >= since && now < *read_at + rotation::KEYS_TTL => Ok(value.clone()),
            _ => {
                let value = Arc::new(read.await?);
                *cached = Some((now, value.clone()));
                Ok(value)
            }
        }
    }
}

/// Any time will do.
const EPOCH: Timestamp = Timestamp::from_seconds(0);

/// Signs user tokens with the key whose turn it is. No AWS call while the keys are cached.
#[derive(Clone)]
pub struct Signer {
    keys: SigningKeys,
    vault: Vault,
    cache: Arc<TimedCache<Vec<StoredKey>>>,
}

impl Signer {
    /// A signer that has read the keys and opened the one whose turn it is, where there is one.
    pub async fn load(keys: SigningKeys, vault: Vault) -> Self {
        es256::install();
        let signer = Self { keys, vault, cache: TimedCache::empty() };
        if let Err(error) = signer.current(Timestamp::now()).await {
            tracing::warn!(error = %ErrorChain(&error), "no signing key at start-up");
        }
        signer
    }

    /// The key whose turn it is, with its name. The vault keeps its data key, so that opening it costs no call either.
    async fn current(&self, now: Timestamp) -> Result<(String, EncodingKey), KeyError> {
        let read = async {
            let stored = self.keys.list().await?;
            // That there is no key is not remembered: the first environment makes one at any moment.
            if stored.is_empty() { Err(KeyError::NoSigningKey) } else { Ok(stored) }
        };
        let stored = self.cache.get(EPOCH, read).await?;
        let signs_from: Vec<Timestamp> = stored.iter().map(|key| key.signs_from).collect();
        let key =
            rotation::current(&signs_from, now).and_then(|index| stored.get(index)).ok_or(KeyError::NoSigningKey)?;
        let private_key = self.vault.open(&context(&key.kid), &key.private_key).await?;
        Ok((key.kid.clone(), EncodingKey::from_ec_der(&private_key)))
    }

    /// The token that carries these claims.
    pub async fn sign(&self, claims: &Claims, now: Timestamp) -> Result<String, KeyError> {
        let (kid, key) = self.current(now).await?;
        token::sign(claims, &kid, &key).map_err(|_| KeyError::Unusable)
    }
}

/// Checks user tokens. No AWS call while the keys are cached.
#[derive(Clone)]
pub struct Verifier {
    keys: SigningKeys,
    issuer: String,
    cache: Arc<TimedCache<HashMap<String, DecodingKey>>>,
    /// When the keys were last read because of an unknown one, in milliseconds since 1970.
    last_refresh: Arc<AtomicI64>,
}

/// How often the keys are read again at the most because a token names one that is unknown: invented names cost nothing.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

impl Verifier {
    /// A verifier that has read the public keys.
    pub async fn load(keys: SigningKeys, issuer: String) -> Self {
        es256::install();
        let verifier = Self { keys, issuer, cache: TimedCache::empty(), last_refresh: Arc::default() };
        if let Err(error) = verifier.public_keys(EPOCH).await {
            tracing::warn!(error = %ErrorChain(&error), "no signing keys at start-up");
        }
        verifier
    }

    async fn public_keys(&self, since: Timestamp) -> Result<Arc<HashMap<String, DecodingKey>>, StoreError> {
        let read = async {
            let stored = self.keys.list().await?;
            Ok(stored.into_iter().map(|key| (key.kid, es256::decoding_key(&key.public_key))).collect())
        };
        self.cache.get(since, read).await
    }

    fn may_refresh(&self) -> bool {
        let now = Timestamp::now().milliseconds();
        let before = self.last_refresh.load(Ordering::Relaxed);
        let wait = i64::try_from(MIN_REFRESH_INTERVAL.as_millis()).unwrap_or(i64::MAX);
        // Of callers at once one goes on.
        now.saturating_sub(before) >= wait
            && self.last_refresh.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// What a token says, where it is one of this stack's and its time has neither to come nor passed. Whether its user
    /// may still use it is another question.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, VerifyError> {
        let kid = token::key_id(token)?;
        let mut keys = self.public_keys(EPOCH).await?;
        if !keys.contains_key(&kid) && self.may_refresh() {
            // A key may have been made since the set was read.
            keys = self.public_keys(Timestamp::now()).await?;
        }
        let key = keys.get(&kid).ok_or(TokenError::UnknownKey)?;
        Ok(token::verify(token, key, &self.issuer, now)?)
    }
}

/// Why a token was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] TokenError),
    /// The public keys could not be read.
    #[error("the public keys cannot be read")]
    Store(#[from] StoreError),
}
