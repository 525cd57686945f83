//! Envelope encryption: AES-256-GCM with one data key per secret, which KMS encrypts.
//!
//! KMS binds the data key to its [`Context`], and the associated data binds the ciphertext to owner
//! and version. A ciphertext that is copied to another environment, owner, purpose or version
//! cannot be decrypted.

use std::{error::Error, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_kms::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::DataKeySpec,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::{aws::is_transient, cache::WallClockCache, domain::secret::Sealed, logs::ErrorChain};

/// Owner and purpose of a secret.
#[derive(Clone, Debug)]
pub struct Context {
    /// Environment, or `stack` for secrets of the stack.
    pub environment: String,
    /// Id of the item that holds the secret.
    pub owner: String,
    /// Purpose of the secret.
    pub purpose: &'static str,
}

impl Context {
    /// Returns the associated data of AES-GCM.
    fn associated_data(&self, version: u32) -> Aad<Vec<u8>> {
        let Self { environment, owner, purpose } = self;
        Aad::from(format!("{environment}/{purpose}/{owner}/{version}").into_bytes())
    }
}

/// Adds the encryption context to a KMS request. A macro, because the SDK's builders share no
/// trait.
macro_rules! with_context {
    ($request:expr, $context:expr) => {
        $request
            .encryption_context("environment", &$context.environment)
            .encryption_context("owner", &$context.owner)
            .encryption_context("purpose", $context.purpose)
    };
}
/// Encrypts and decrypts secrets with one KMS key. Caches data keys.
#[derive(Clone)]
pub struct Vault {
    kms: Client,
    key_id: String,
    data_keys: WallClockCache<Vec<u8>, Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Maximum number of cached data keys.
const MAX_CACHED_KEYS: u64 = 1000;
/// Lifetime of a cached data key.
const CACHE_TTL: Duration = Duration::from_secs(5 * 60);

/// Reason why a secret was not encrypted or decrypted. Never contains a part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// KMS is busy or unreachable. A retry may succeed.
    #[error("KMS is busy or unreachable")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    /// KMS rejects all requests: the key is disabled, deleted or another one, or the function has
    /// no permission. The secret may be fine.
    #[error("KMS rejected a request")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The ciphertext or its data key is invalid for this owner, purpose and version.
    #[error("the secret cannot be decrypted")]
    Undecryptable,
    /// The system provided no random bytes.
    #[error("failed to generate random bytes")]
    Random,
}

impl Vault {
    /// Creates a vault with a KMS key, given by id, ARN or alias.
    pub fn new(config: &SdkConfig, key_id: impl Into<String>) -> Self {
        let data_keys = WallClockCache::new(CACHE_TTL, MAX_CACHED_KEYS);
        Self { kms: Client::new(config), key_id: key_id.into(), data_keys }
    }

    /// Opens the connection to KMS during initialization, when Lambda provides a full CPU. One KMS
    /// call.
    pub async fn connect(&self) {
        if let Err(error) = self.kms.describe_key().key_id(&self.key_id).send().await {
            tracing::warn!(error = %ErrorChain(&error), "failed to connect to KMS at start-up");
        }
    }

    /// Encrypts a secret for its owner. One KMS call.
    pub async fn seal(&self, context: &Context, version: u32, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let output = with_context!(self.kms.generate_data_key(), context)
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .send()
            .await?;
        let data_key = Zeroizing::new(output.plaintext.map(Blob::into_inner).unwrap_or_default());
        let mut nonce = [0; NONCE_LEN];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut nonce).map_err(|_| VaultError::Random)?;
        let mut ciphertext = plaintext.to_vec();
        cipher(&data_key)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                context.associated_data(version),
                &mut ciphertext,
            )
            .map_err(|_| VaultError::Undecryptable)?;
        let wrapped_key = output.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        Ok(Sealed { version, wrapped_key, nonce: nonce.to_vec(), ciphertext })
    }

    /// Decrypts a secret of its owner. One KMS call, or none while the data key is cached.
    pub async fn open(&self, context: &Context, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let Sealed { version, wrapped_key, nonce, ciphertext } = sealed;
        let unwrap = || self.unwrap(context, wrapped_key);
        let data_key = self.data_keys.get_or_read(wrapped_key.clone(), unwrap).await?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Undecryptable)?;
        let mut text = Zeroizing::new(ciphertext.clone());
        let length = cipher(&data_key)?
            .open_in_place(nonce, context.associated_data(*version), &mut text)
            .map_err(|_| VaultError::Undecryptable)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    async fn unwrap(&self, context: &Context, wrapped_key: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let request =
            with_context!(self.kms.decrypt(), context).key_id(&self.key_id).ciphertext_blob(Blob::new(wrapped_key));
        let output = request.send().await?;
        Ok(Zeroizing::new(output.plaintext.map(Blob::into_inner).unwrap_or_default()))
    }
}

fn cipher(data_key: &[u8]) -> Result<LessSafeKey, VaultError> {
    UnboundKey::new(&AES_256_GCM, data_key).map(LessSafeKey::new).map_err(|_| VaultError::Undecryptable)
}

impl<E> From<SdkError<E, HttpResponse>> for VaultError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let codes =
            ["ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"];
        let is_of_secret = error.code() == Some("InvalidCiphertextException");
        if is_transient(&error, &codes) {
            Self::Busy(error.into())
        } else if is_of_secret {
            Self::Undecryptable
        } else {
            Self::Refused(error.into())
        }
    }
}
