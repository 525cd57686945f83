//! Rotation of signing keys during a stream of requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use tenon::{
    domain::{
        id::EnvironmentId,
        names::Names,
        request_seed::RequestSeed,
        timestamp::Timestamp,
        user::{Metadata, NewUser, TtlSeconds},
    },
    start::{FromAws, connect},
    store::{Table, signing_keys::SigningKeys},
    tokens::{Claims, Limits, Signer, Verifier, create_signing_key},
    vault::Vault,
};
use tests::{Api, Tenon, aws, eventually, keys, setting};
use tokio::{net::TcpListener, time::timeout};

#[tokio::test]
async fn valid_tokens_are_accepted_during_key_rotation() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let first = acme.user_token(&user).await;

    // Each request of the stream issues a token, uses it, and uses the first token again.
    let (going, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let stream = {
        let (going, made) = (going.clone(), made.clone());
        let (acme, user, first) = (acme.clone(), user.clone(), Api::new(first.clone()));
        tokio::spawn(async move {
            while going.load(Ordering::Relaxed) {
                Api::new(acme.user_token(&user).await).get("/session").await.is(200);
                first.get("/session").await.is(200);
                made.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let some_requests_later = async || {
        let wanted = made.load(Ordering::Relaxed) + 10;
        eventually("the stream continues", async || {
            (made.load(Ordering::Relaxed) >= wanted || stream.is_finished()).then_some(())
        })
        .await;
    };

    // The 30 days of the signing key have passed. Its successor is published and does not sign yet.
    let old = key_of(&first);
    sign_from(&acme.tenon, &old, Timestamp::from_seconds(1_700_000_000)).await;
    let rotated = acme.tenon.invoke("SigningKeysRotate", json!({})).await.unwrap();
    let new = rotated["created"][0].as_str().unwrap_or_else(|| panic!("{rotated}")).to_owned();
    assert_eq!(rotated["removed"], json!([]));
    assert!(published().await.contains(&new) && published().await.contains(&old));
    assert_eq!(key_of(&acme.user_token(&user).await), old);
    let again = acme.tenon.invoke("SigningKeysRotate", json!({})).await.unwrap();
    assert_eq!(again, json!({ "created": [], "removed": [] }), "a second rotation immediately after changes nothing");
    some_requests_later().await;

    // The successor starts to sign. Processes use either key until they have read the new one.
    sign_from(&acme.tenon, &new, Timestamp::now()).await;
    some_requests_later().await;
    let rotated = acme.tenon.invoke("SigningKeysRotate", json!({})).await.unwrap();
    assert_eq!(rotated["removed"], json!([]), "tokens of the old key are still valid");
    some_requests_later().await;

    going.store(false, Ordering::Relaxed);
    stream.await.unwrap();
}

#[tokio::test]
async fn processes_with_old_and_new_keys_accept_each_others_tokens() {
    let config = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let keys = SigningKeys(Table::new(&config, setting("DIRECTORY_TABLE")));
    let vault = Vault::new(&config, setting("SIGNING_KEY"));
    let new_user = NewUser {
        names: Names::of("joe".parse().unwrap(), None).unwrap(),
        full_name: None,
        metadata: Metadata::default(),
    };
    keys.create_first(&create_signing_key(&vault, Timestamp::now()).await.unwrap()).await.unwrap();
    let now = Timestamp::now();
    let claims = Claims::new(
        "urn:tenon:test",
        EnvironmentId::new(),
        &new_user.create(&RequestSeed::of(now), 0),
        Limits::default(),
        TtlSeconds::MAX,
        now,
    );

    let stored = SigningKeys(keys.0.clone().read_only());
    let earlier_signer = Signer::load(stored.clone(), vault.clone()).await;
    let earlier_verifier = Verifier::load(stored.clone(), "urn:tenon:test".into()).await;
    let next = create_signing_key(&vault, now + Duration::from_secs(60)).await.unwrap();
    keys.create(&next).await.unwrap();
    let (signer, verifier) =
        (Signer::load(stored.clone(), vault).await, Verifier::load(stored, "urn:tenon:test".into()).await);

    let switch_time = now + Duration::from_secs(61);
    let before = signer.sign(&claims, now).await.unwrap();
    let after = signer.sign(&claims, switch_time).await.unwrap();
    let from_old_process = earlier_signer.sign(&claims, switch_time).await.unwrap();
    assert_ne!(key_of(&before), next.kid);
    assert_eq!(key_of(&after), next.kid);
    assert_eq!(key_of(&from_old_process), key_of(&before));
    for token in [before, after, from_old_process] {
        assert_eq!(verifier.verify(&token, switch_time).await.unwrap(), claims);
        assert_eq!(earlier_verifier.verify(&token, switch_time).await.unwrap(), claims);
    }
}

/// Returns the id of the key that signed a token.
fn key_of(token: &str) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Returns the ids of the published keys.
async fn published() -> Vec<String> {
    let set = Api::anonymous().get("/.well-known/jwks.json").await.is(200).body;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Changes the time from which a key signs.
async fn sign_from(tenon: &Tenon, kid: &str, from: Timestamp) {
    aws_sdk_dynamodb::Client::new(&tenon.aws)
        .update_item()
        .table_name(setting("TENON_STACK_DirectoryTable"))
        .key("pk", keys::attribute(keys::SIGNING_KEYS))
        .key("sk", keys::attribute(keys::signing_key(kid)))
        .update_expression("SET signsFrom = :from")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":from", keys::attribute(from.to_string()))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn start_up_ends_before_its_limit_although_aws_does_not_respond() {
    // Connections are accepted, and never served.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let config = tenon::aws::config().expect("a configuration").to_builder().endpoint_url(url).build();
    let start = async || {
        let signer = connect(&config, Signer::from_aws).await.map(|_| ());
        signer.and(connect(&config, Verifier::from_aws).await.map(|_| ()))
    };
    // Each has ten seconds (AWS limit).
    timeout(Duration::from_secs(20), start()).await.expect("the start-ups end").expect("both start without keys");
}
