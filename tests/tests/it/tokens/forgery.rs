//! Verification of user tokens, following RFC 8725 (JSON Web Token Best Current Practices) point by
//! point.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tenon::{
    domain::timestamp::Timestamp,
    store::{Table, signing_keys::SigningKeys},
    tokens::{Claims, Verifier, VerifyError},
};
use tests::scripted;

const ISSUER: &str = "urn:tenon:test";
const NOW: Timestamp = Timestamp::from_seconds(1_900_000_000);

struct Key {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { kid, pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap() }
    }

    fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Returns the stored item. Verification does not need the private key.
    fn item(&self) -> Value {
        let text = |text: &str| json!({ "S": text });
        let bytes = |bytes: &[u8]| json!({ "B": BASE64_STANDARD.encode(bytes) });
        let sealed = json!({ "M": { "version": { "N": "1" }, "wrappedKey": bytes(b"x"), "nonce": bytes(b"x"), "ciphertext": bytes(b"x") } });
        json!({ "kid": text(self.kid), "publicKey": bytes(self.public()), "privateKey": sealed,
            "createdAt": text("2026-11-24T05:30:50.123Z"), "signsFrom": text("2026-11-24T05:30:50.123Z") })
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Stack with two signing keys, and a foreign key.
struct World {
    key: Key,
    second: Key,
    foreign: Key,
    verifier: Verifier,
}

impl World {
    async fn new() -> Self {
        let (key, second) = (Key::new("first"), Key::new("second"));
        let items = json!([key.item(), second.item()]);
        let config = scripted(move |_, _| (200, json!({ "Items": items, "Count": 2 }))).await;
        let verifier = Verifier::load(SigningKeys(Table::new(&config, "directory").read_only()), ISSUER.into()).await;
        Self { key, second, foreign: Key::new("first"), verifier }
    }

    fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "tenon-user+jwt", "kid": "first" })
    }

    fn claims(&self) -> Value {
        let now = NOW.seconds();
        json!({ "iss": ISSUER, "aud": "tenon", "sub": "6b052e434ec0c91bf3a2267f", "env": "6b052e433aadb2a32613736a",
            "iat": now, "nbf": now, "exp": now + 1800, "jti": "x", "epoch": 0 })
    }

    async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.verifier.verify(token, NOW).await
    }

    #[track_caller]
    fn signed(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let (mut header, mut claims) = (self.header(), self.claims());
        change(&mut header, &mut claims);
        self.key.sign(&header.to_string(), &claims.to_string())
    }

    async fn assert_rejected(&self, case: &str, token: &str) {
        let verified = self.verify(token).await;
        assert!(matches!(verified, Err(VerifyError::Refused(_))), "{case}: {verified:?}");
    }
}

#[tokio::test]
async fn token_signed_with_any_stack_key_is_accepted() {
    let world = World::new().await;
    let token = world.signed(|_, _| {});
    assert_eq!(world.verify(&token).await.unwrap().sub.to_string(), "6b052e434ec0c91bf3a2267f");
    let header = json!({ "alg": "ES256", "typ": "tenon-user+jwt", "kid": "second" }).to_string();
    world.verify(&world.second.sign(&header, &world.claims().to_string())).await.unwrap();
}

// Sections 3.1, 3.2: the algorithm is that of the key.
#[tokio::test]
async fn token_cannot_choose_its_algorithm() {
    let world = World::new().await;
    for algorithm in
        ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "ES384", "ES512", "RS256", "PS256", "EdDSA", "es256"]
    {
        let token = world.signed(|header, _| header["alg"] = json!(algorithm));
        world.assert_rejected(algorithm, &token).await;
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        world.assert_rejected(algorithm, &format!("{unsigned}.")).await;
    }
    let token = world.signed(|header, _| header["alg"] = json!(["ES256"]));
    world.assert_rejected("a list of algorithms", &token).await;
    // The public key used as an HMAC secret.
    let header = json!({ "alg": "HS256", "typ": "tenon-user+jwt", "kid": "first" }).to_string();
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(&header), encode(&world.claims().to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, world.key.public()), message.as_bytes());
    world.assert_rejected("HMAC by the public key", &format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))).await;
}

// Section 3.3: every signature is verified.
#[tokio::test]
async fn foreign_or_swapped_signatures_are_rejected() {
    let world = World::new().await;
    let (header, claims) = (world.header().to_string(), world.claims().to_string());
    world.assert_rejected("a foreign key", &world.foreign.sign(&header, &claims)).await;
    world.assert_rejected("the other key's signature", &world.second.sign(&header, &claims)).await;
    let token = world.signed(|_, _| {});
    let other = world.signed(|_, claims| claims["sub"] = json!("6b052e434ec0c91bf3a22670"));
    let (message, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    world.assert_rejected("another token's signature", &format!("{message}.{signature}")).await;
    for zeros in [0, 1, 63, 64, 65] {
        let signature = BASE64_URL_SAFE_NO_PAD.encode(vec![0; zeros]);
        world.assert_rejected("a signature of zeros", &format!("{message}.{signature}")).await;
    }
}

// Sections 3.8, 3.9: issuer, subject and audience.
#[tokio::test]
async fn issuer_and_audience_must_match() {
    let world = World::new().await;
    for (member, value) in [
        ("iss", json!("urn:tenon:other")),
        ("iss", json!([ISSUER, "urn:tenon:other"])),
        ("aud", json!("another")),
        ("aud", json!(["another", "tenon"])),
        ("sub", json!("joe@acme.example")),
        ("sub", json!("")),
        ("env", json!("../6b052e433aadb2a32613736a")),
    ] {
        world.assert_rejected(member, &world.signed(|_, claims| claims[member] = value)).await;
    }
}

#[tokio::test]
async fn every_claim_is_required() {
    let world = World::new().await;
    for member in ["iss", "aud", "sub", "env", "iat", "nbf", "exp", "jti", "epoch"] {
        let token = world.signed(|_, claims| {
            claims.as_object_mut().unwrap().remove(member);
        });
        world.assert_rejected(member, &token).await;
        world.assert_rejected(member, &world.signed(|_, claims| claims[member] = Value::Null)).await;
    }
}

// Section 3.10: keys and URLs in a token are not trusted.
#[tokio::test]
async fn key_id_is_only_looked_up() {
    let world = World::new().await;
    for kid in [
        "",
        "third",
        "../../../../dev/null",
        "first' OR '1'='1",
        "signing#first",
        "FIRST",
        "https://evil.example/jwks.json",
    ] {
        world.assert_rejected(kid, &world.signed(|header, _| header["kid"] = json!(kid))).await;
    }
    let token = world.signed(|header, _| {
        header.as_object_mut().unwrap().remove("kid");
    });
    world.assert_rejected("no kid", &token).await;
}

#[tokio::test]
async fn embedded_keys_and_key_urls_are_ignored() {
    let world = World::new().await;
    let point = world.foreign.public();
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let jwk =
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]), "kid": "first" });
    for (member, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!([BASE64_STANDARD.encode(point)])),
    ] {
        let mut header = world.header();
        header[member] = value.clone();
        world.assert_rejected(member, &world.foreign.sign(&header.to_string(), &world.claims().to_string())).await;
        world
            .assert_rejected(
                "kid missing",
                &world.foreign.sign(
                    &json!({ "alg": "ES256", "typ": "tenon-user+jwt", member: value }).to_string(),
                    &world.claims().to_string(),
                ),
            )
            .await;
    }
    world.assert_rejected("crit", &world.signed(|header, _| header["crit"] = json!(["exp"]))).await;
}

// Sections 3.11, 3.12: no other kind of JWT is accepted.
#[tokio::test]
async fn token_type_must_be_tenon_user() {
    let world = World::new().await;
    for kind in ["JWT", "jwt", "at+jwt", "tenon-user", "application/tenon-user+jwt", "TENON-USER+JWT", ""] {
        world.assert_rejected(kind, &world.signed(|header, _| header["typ"] = json!(kind))).await;
    }
    let token = world.signed(|header, _| {
        header.as_object_mut().unwrap().remove("typ");
    });
    world.assert_rejected("no typ", &token).await;
}

#[tokio::test]
async fn token_is_valid_only_in_its_lifetime_of_at_most_30_minutes() {
    let world = World::new().await;
    let now = NOW.seconds();
    let times = |iat: i64, nbf: i64, exp: i64| {
        world.signed(|_, claims| (claims["iat"], claims["nbf"], claims["exp"]) = (json!(iat), json!(nbf), json!(exp)))
    };
    world.verify(&times(now - 1799, now - 1799, now + 1)).await.unwrap();
    world.assert_rejected("expired this second", &times(now - 60, now - 60, now)).await;
    world.assert_rejected("expired a second ago", &times(now - 60, now - 60, now - 1)).await;
    world.assert_rejected("issued in the future", &times(now + 6, now, now + 60)).await;
    world.assert_rejected("not yet", &times(now, now + 6, now + 60)).await;
    world.assert_rejected("lasts too long", &times(now, now, now + 1801)).await;
    for exp in [json!("1900001800"), json!(-1), json!(1.9e9), json!(1e300), json!(i64::MAX), json!(u64::MAX)] {
        world.assert_rejected("an odd exp", &world.signed(|_, claims| claims["exp"] = exp)).await;
    }
    for iat in [json!(i64::MIN), json!(-1), json!("now")] {
        world.assert_rejected("an odd iat", &world.signed(|_, claims| claims["iat"] = iat)).await;
    }
}

#[tokio::test]
async fn duplicate_members_are_rejected() {
    let world = World::new().await;
    let claims = world.claims().to_string();
    let twice = |member: &str, value: &str| claims.replacen('{', &format!("{{\"{member}\":{value},"), 1);
    for (member, value) in
        [("sub", "\"6b052e434ec0c91bf3a22670\""), ("exp", "1900001700"), ("iss", "\"urn:tenon:test\""), ("epoch", "1")]
    {
        world.assert_rejected(member, &world.key.sign(&world.header().to_string(), &twice(member, value))).await;
    }
    for header in [
        r#"{"alg":"none","alg":"ES256","typ":"tenon-user+jwt","kid":"first"}"#,
        r#"{"alg":"ES256","typ":"JWT","typ":"tenon-user+jwt","kid":"first"}"#,
        r#"{"alg":"ES256","typ":"tenon-user+jwt","kid":"second","kid":"first"}"#,
    ] {
        world.assert_rejected(header, &world.key.sign(header, &claims)).await;
    }
}

#[tokio::test]
async fn only_strict_compact_serialization_is_accepted() {
    let world = World::new().await;
    let token = world.signed(|_, _| {});
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    for odd in [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{header} .{claims}.{signature}"),
        format!("{header}.{claims}.{signature}="),
        format!("{header}=.{claims}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}.{claims}"),
        format!("{header}..{claims}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        token.replace('.', "%2E"),
        format!("{header}.{claims}.+/{}", &signature[2..]),
        String::new(),
        "..".into(),
        "{}".into(),
    ] {
        world.assert_rejected(&odd, &odd).await;
    }
}

#[tokio::test]
async fn huge_token_is_rejected() {
    let world = World::new().await;
    world.assert_rejected("huge", &world.signed(|_, claims| claims["x"] = json!("x".repeat(10_000)))).await;
    world.assert_rejected("huge", &"a".repeat(1_000_000)).await;
}

#[tokio::test]
async fn unknown_key_ids_do_not_reload_the_keys_repeatedly() {
    let key = Key::new("first");
    let reads = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (counted, items) = (reads.clone(), json!([key.item()]));
    let config = scripted(move |_, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (200, json!({ "Items": items, "Count": 1 }))
    })
    .await;
    let verifier = Verifier::load(SigningKeys(Table::new(&config, "directory").read_only()), ISSUER.into()).await;
    for n in 0..50 {
        let header = json!({ "alg": "ES256", "typ": "tenon-user+jwt", "kid": format!("invented-{n}") }).to_string();
        assert!(verifier.verify(&key.sign(&header, "{}"), NOW).await.is_err());
    }
    assert_eq!(reads.load(std::sync::atomic::Ordering::SeqCst), 2);
}
