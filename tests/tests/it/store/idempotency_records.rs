//! Claims of requests and their stored responses.

use std::{collections::BTreeMap, time::Duration};

use tenon::{
    domain::{id::EnvironmentId, request_seed::RequestKey, timestamp::Timestamp},
    store::{
        StoreError, Table,
        idempotency_records::{Claim, IdempotencyRecords, StoredBody, StoredResponse},
    },
};
use tests::{aws, keys, setting, table_items::query};

#[tokio::test]
async fn response_with_a_missing_piece_is_never_replayed() {
    let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
    let records = IdempotencyRecords(Table::new(&aws, setting("DIRECTORY_TABLE")));
    let key = RequestKey { environment: EnvironmentId::new(), digest: "0".repeat(64) };
    let deadline = Timestamp::now() + Duration::from_secs(60);
    let Claim::Acquired(claim) = records.claim(&key, "body".into(), deadline).await.unwrap() else {
        panic!("a new request is claimed");
    };
    let response =
        StoredResponse { status: 200, headers: BTreeMap::new(), body: StoredBody::Compressed(vec![1; 800_000]) };
    records.complete(&key, &claim, response).await.unwrap();
    let pk = format!("{}{}", keys::idempotency_prefix(key.environment), key.digest);
    let items = query(&aws, &setting("DIRECTORY_TABLE"), &pk).await;
    let piece = items.iter().find(|item| item["sk"].as_s().unwrap().starts_with("piece#")).unwrap();
    let delete = aws_sdk_dynamodb::Client::new(&aws).delete_item().table_name(setting("DIRECTORY_TABLE"));
    delete.key("pk", piece["pk"].clone()).key("sk", piece["sk"].clone()).send().await.unwrap();

    let again = records.claim(&key, "body".into(), deadline).await;
    assert!(matches!(again, Err(StoreError::Malformed(_))), "replayed without a piece");
}

#[tokio::test]
async fn late_holder_of_an_expired_claim_changes_no_response() {
    let records = IdempotencyRecords(Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DIRECTORY_TABLE")));
    let key = RequestKey { environment: EnvironmentId::new(), digest: "0".repeat(64) };
    let claim = async || {
        let expired = Timestamp::now() - Duration::from_secs(1);
        records.claim(&key, "body".into(), expired).await.unwrap()
    };
    let (Claim::Acquired(first), Claim::Acquired(second)) = (claim().await, claim().await) else {
        panic!("an expired claim can be acquired again");
    };
    // Three pieces each, of which two have items of their own.
    let response = |byte: u8| StoredResponse {
        status: 200,
        headers: BTreeMap::new(),
        body: StoredBody::Compressed(vec![byte; 800_000]),
    };
    records.complete(&key, &second, response(2)).await.unwrap();
    records.complete(&key, &first, response(1)).await.unwrap();
    assert!(claim().await == Claim::Completed(response(2)));
}
