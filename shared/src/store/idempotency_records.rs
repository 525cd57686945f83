//! Records of requests with an `Idempotency-Key`, and their responses.
//!
//! A caller acquires a claim before it processes a request, and completes it with the response,
//! releases it for a retry, or deletes the record. A claim that expires can be acquired again, with
//! the same [`RequestSeed`].

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{Item, StoreError, Table, from_item, none_if_condition_failed, to_item},
};
use crate::domain::{
    request_seed::{RequestKey, RequestSeed},
    secret::Sealed,
    timestamp::Timestamp,
};

/// Records of all environments.
#[derive(Clone, Debug)]
pub struct IdempotencyRecords(pub Table);

/// Time for which a record is kept.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Claim of a request, which its holder may complete, release or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquiredClaim {
    /// Random id of the claim.
    claim_id: String,
    /// Seed of the ids and times that the request generates.
    pub seed: RequestSeed,
}

/// Stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers, by name.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: StoredBody,
}

/// Stored body of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredBody {
    /// Compressed body.
    Compressed(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Compressed body that is also encrypted because it contains a secret.
    Sealed(Sealed),
}

/// Result of an attempt to claim a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The request is new, or its previous claim was released or expired. The caller must process
    /// it.
    Acquired(AcquiredClaim),
    /// Another caller holds the claim.
    InProgress,
    /// The key was used with another body.
    PayloadMismatch,
    /// The request was completed with this response.
    Completed(StoredResponse),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Digest of the request body.
    body_digest: String,
    seed: RequestSeed,
    /// Id of the latest claim.
    #[serde(default)]
    claim_id: String,
    /// Time at which the claim expires.
    claim_expires_at: Timestamp,
    /// Response, once the request is complete. Stored under another name, since `response` is a
    /// reserved word of DynamoDB.
    #[serde(rename = "storedResponse", skip_serializing_if = "Option::is_none")]
    response: Option<StoredResponse>,
    /// Number of pieces of the compressed body after the first.
    #[serde(default)]
    extra_pieces: u32,
    expires_at: i64,
}

/// Further piece of a body that exceeds one item.
#[derive(Serialize, Deserialize)]
struct Piece {
    number: u32,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// Maximum size of the body in one item, in bytes. An item may have 400 KB (AWS limit).
const MAX_PIECE_BYTES: usize = 350_000;

impl IdempotencyRecords {
    /// Claims a request, unless it is in progress or complete. Acquires expired claims again. One
    /// write; another one for an expired claim; one `BatchGetItem` per 100 further pieces of a
    /// stored response.
    pub async fn claim(
        &self,
        key: &RequestKey,
        body_digest: String,
        claim_expires_at: Timestamp,
    ) -> Result<Claim, StoreError> {
        let (seed, claim_id) = (RequestSeed::new(), new_claim_id());
        let now = seed.at;
        let expires_at = (now + RETENTION).seconds();
        let record = Record {
            body_digest: body_digest.clone(),
            seed: seed.clone(),
            claim_id: claim_id.clone(),
            claim_expires_at,
            response: None,
            extra_pieces: 0,
            expires_at,
        };
        let Table { client, name } = &self.0;
        let put = client
            .put_item()
            .table_name(name)
            .set_item(Some(to_item("idempotencyRecord", &keys::idempotency_record(key), &record, &[])?))
            .condition_expression("attribute_not_exists(pk) OR expiresAt <= :now")
            .expression_attribute_values(":now", AttributeValue::N(now.seconds().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let existing: Record = match put.send().await {
            Ok(_) => return Ok(Claim::Acquired(AcquiredClaim { claim_id, seed })),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    from_item(failed.item.clone().unwrap_or_default())?
                }
                _ => return Err(error.into()),
            },
        };
        match existing {
            // This call wrote the record: the SDK repeated the request because the response was
            // lost.
            Record { claim_id: current, .. } if current == claim_id => {
                Ok(Claim::Acquired(AcquiredClaim { claim_id, seed }))
            }
            Record { body_digest: before, .. } if before != body_digest => Ok(Claim::PayloadMismatch),
            Record { response: Some(response), extra_pieces, .. } => self.assemble(key, response, extra_pieces).await,
            Record { claim_expires_at: before, .. } if now < before => Ok(Claim::InProgress),
            Record { seed, claim_id: before, .. } => {
                self.reclaim(key, seed, (before, claim_id), claim_expires_at).await
            }
        }
    }

    /// Assembles a response from its pieces.
    async fn assemble(
        &self,
        key: &RequestKey,
        response: StoredResponse,
        extra_pieces: u32,
    ) -> Result<Claim, StoreError> {
        let StoredResponse { status, headers, mut body } = response;
        if let StoredBody::Compressed(bytes) = &mut body
            && extra_pieces > 0
        {
            let wanted: Vec<_> = (1..=extra_pieces).map(|number| keys::idempotency_piece(key, number)).collect();
            let mut pieces: Vec<Piece> = self.0.get_all(&wanted).await?;
            pieces.sort_by_key(|piece| piece.number);
            pieces.into_iter().for_each(|piece| bytes.extend(piece.bytes));
        }
        Ok(Claim::Completed(StoredResponse { status, headers, body }))
    }

    /// Replaces an expired claim. One write.
    async fn reclaim(
        &self,
        key: &RequestKey,
        seed: RequestSeed,
        (before, claim_id): (String, String),
        claim_expires_at: Timestamp,
    ) -> Result<Claim, StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::idempotency_record(key).attributes()))
            .update_expression("SET claimId = :claim, claimExpiresAt = :until")
            // This claim may already be stored: the SDK repeats a request whose response was lost.
            .condition_expression("claimId IN (:before, :claim) AND attribute_not_exists(storedResponse)")
            .expression_attribute_values(":claim", AttributeValue::S(claim_id.clone()))
            .expression_attribute_values(":until", AttributeValue::S(claim_expires_at.to_string()))
            .expression_attribute_values(":before", AttributeValue::S(before));
        Ok(match none_if_condition_failed(request.send().await)? {
            Some(_) => Claim::Acquired(AcquiredClaim { claim_id, seed: seed.retried() }),
            // Another caller acquired the claim first.
            None => Claim::InProgress,
        })
    }

    /// Stores the response of a claimed request. One write, and one `BatchWriteItem` per 25 further
    /// pieces.
    pub async fn complete(
        &self,
        key: &RequestKey,
        claim: &AcquiredClaim,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        let (response, pieces) = split(response);
        let expires = AttributeValue::N((claim.seed.at + RETENTION).seconds().to_string());
        let items = pieces.iter().map(|piece| {
            let mut item = to_item("idempotencyPiece", &keys::idempotency_piece(key, piece.number), piece, &[])?;
            item.insert("expiresAt".into(), expires.clone());
            Ok(item)
        });
        let items = items.collect::<Result<Vec<Item>, StoreError>>()?;
        if !self.0.put_all(items).await.is_empty() {
            return Err(StoreError::Busy("some pieces of a response were not written".into()));
        }
        let request = self
            .update_claimed(key, claim)
            .update_expression("SET storedResponse = :response, extraPieces = :extra")
            .expression_attribute_values(
                ":response",
                serde_dynamo::to_attribute_value(response).map_err(StoreError::Malformed)?,
            )
            .expression_attribute_values(":extra", AttributeValue::N(pieces.len().to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }

    /// Returns an update that succeeds only for the holder of the latest claim and before a
    /// response is stored.
    fn update_claimed(&self, key: &RequestKey, claim: &AcquiredClaim) -> UpdateItemFluentBuilder {
        let Table { client, name } = &self.0;
        client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::idempotency_record(key).attributes()))
            .condition_expression(CLAIM_HELD)
            .expression_attribute_values(":claim", AttributeValue::S(claim.claim_id.clone()))
    }

    /// Releases a claim after a failure of the server. The next attempt may follow immediately and
    /// continues with the same seed. One write.
    pub async fn release(&self, key: &RequestKey, claim: &AcquiredClaim) -> Result<(), StoreError> {
        let request = self
            .update_claimed(key, claim)
            .update_expression("SET claimExpiresAt = :now")
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }

    /// Deletes the record of a rejected request, so that its key can be used with another body. One
    /// write.
    pub async fn delete(&self, key: &RequestKey, claim: &AcquiredClaim) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .delete_item()
            .table_name(name)
            .set_key(Some(keys::idempotency_record(key).attributes()))
            .condition_expression(CLAIM_HELD)
            .expression_attribute_values(":claim", AttributeValue::S(claim.claim_id.clone()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }
}

/// Condition that the claim is the latest and that there is no response.
const CLAIM_HELD: &str = "claimId = :claim AND attribute_not_exists(storedResponse)";

fn new_claim_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Splits a body that exceeds one item.
fn split(response: StoredResponse) -> (StoredResponse, Vec<Piece>) {
    let StoredResponse { status, headers, body } = response;
    let StoredBody::Compressed(bytes) = body else {
        return (StoredResponse { status, headers, body }, Vec::new());
    };
    let mut pieces = bytes.chunks(MAX_PIECE_BYTES).map(<[u8]>::to_vec);
    let first = pieces.next().unwrap_or_default();
    let pieces = (1..).zip(pieces).map(|(number, bytes)| Piece { number, bytes }).collect();
    (StoredResponse { status, headers, body: StoredBody::Compressed(first) }, pieces)
}
