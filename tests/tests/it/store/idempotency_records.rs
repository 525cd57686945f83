//! Claims of requests and their stored responses.

use std::{collections::BTreeMap, time::Duration};

use tenon::{
    domain::{id::EnvironmentId, request_seed::RequestKey, timestamp::Timestamp},
    store::{
        Table,
        idempotency_records::{Claim, IdempotencyRecords, StoredBody, StoredResponse},
    },
};
use tests::{aws, setting};

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
