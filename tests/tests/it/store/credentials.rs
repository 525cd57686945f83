//! Credentials under concurrent requests.

use tenon::{
    domain::{
        credential::Credential, id::ObjectId, request_seed::RequestSeed, secret::Sealed, settings::Settings,
        timestamp::Timestamp, user::OwnerStatus, workflow::NewWorkflow,
    },
    store::{
        credentials::{Credentials, SealedCredential},
        workflows::Workflows,
    },
};
use tests::{delivery_harness::DeliveryHarness, events::outbox};

#[tokio::test]
async fn credential_that_something_begins_to_name_is_neither_replaced_nor_deleted_as_it_was_read() {
    let harness = DeliveryHarness::new().await;
    let (environment, directory) = (harness.environment, harness.directory.clone());
    let (outbox, seed, now) = (outbox(&harness.aws), RequestSeed::new(), Timestamp::now());
    let none = || outbox.prepare(&[]).unwrap();
    let (joe, _) = harness.seed_user(1).await;

    let credentials = Credentials(directory.clone());
    let (id, kind, name) = (ObjectId::at(now).into(), "shop".parse().unwrap(), "Shop".parse().unwrap());
    let read = Credential::new(id, joe.user_id, kind, name, now);
    let sealed = |credential| {
        let data = Sealed { version: 1, wrapped_key: Vec::new(), nonce: Vec::new(), ciphertext: Vec::new() };
        SealedCredential { credential, data }
    };
    credentials.create(environment, &sealed(read.clone()), &seed, none()).await.unwrap();
    let workflow = NewWorkflow {
        user_id: joe.user_id,
        name: "Orders".parse().unwrap(),
        integration_id: None,
        credential_ids: vec![id],
        settings: Settings::default(),
    };
    let workflow = workflow.create(&seed);
    Workflows(directory).create(environment, &workflow, OwnerStatus::default(), &seed, none()).await.unwrap();

    let replaced = sealed(read.replaced(None, now));
    assert!(!credentials.replace(environment, &read, &replaced, none()).await.unwrap());
    assert!(!credentials.delete(environment, &read, none()).await.unwrap());
    let again = credentials.get(environment, joe.user_id, id).await.unwrap().unwrap();
    assert!(credentials.replace(environment, &again, &replaced, none()).await.unwrap());
    let again = credentials.get(environment, joe.user_id, id).await.unwrap().unwrap();
    assert!(credentials.delete(environment, &again, none()).await.unwrap());
}
