//! ES256 by `ring`, installed as the only algorithm of `jsonwebtoken`, so that no token can select
//! another one.

use jsonwebtoken::{
    Algorithm, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        only_es256(algorithm)?;
        Ok(Box::new(Es256Signer::new(key)?))
    },
    verifier_factory: |algorithm, key| {
        only_es256(algorithm)?;
        Ok(Box::new(Es256Verifier(key.try_get_as_bytes()?.to_vec())))
    },
    // Needed only for key formats that Tenon never reads.
    key_utils: KeyUtils::new_unimplemented(),
};

fn only_es256(algorithm: &Algorithm) -> Result<()> {
    match algorithm {
        Algorithm::ES256 => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// Installs the algorithm in `jsonwebtoken`. Further calls have no effect.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

struct Es256Signer(EcdsaKeyPair, SystemRandom);

impl Es256Signer {
    fn new(key: &EncodingKey) -> Result<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes(), &random);
        pair.map(|pair| Self(pair, random)).map_err(|_| ErrorKind::InvalidEcdsaKey.into())
    }
}

impl Signer<Vec<u8>> for Es256Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        self.0.sign(&self.1, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| Error::new())
    }
}

impl JwtSigner for Es256Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

/// Verifier with the public key as an uncompressed point.
struct Es256Verifier(Vec<u8>);

impl Verifier<Vec<u8>> for Es256Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0).verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Es256Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}
