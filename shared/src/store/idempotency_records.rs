//! Which requests with an Idempotency-Key were made, and how they were answered.

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

/// The requests with an Idempotency-Key, of all environments.
#[derive(Clone, Debug)]
pub struct IdempotencyRecords(pub Table);

/// How long a request is known.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// A try of a request, which only its holder may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcquiredClaim {
    /// Names it among the tries of the request.
    claim_id: String,
    /// Of what it makes.
    pub seed: RequestSeed,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers, by their names.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: StoredBody,
}

/// The body of an answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoredBody {
    /// Compressed.
    Compressed(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Compressed, and encrypted because it holds a secret.
    Sealed(Sealed),
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing, or only that a try has not come to its end: it is to be tried.
    Acquired(AcquiredClaim),
    /// It is being tried.
    InProgress,
    /// It had another body.
    PayloadMismatch,
    /// It was answered.
    Completed(StoredResponse),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// What the body came to.
    body_digest: String,
    seed: RequestSeed,
    /// Names the last try.
    #[serde(default)]
    claim_id: String,
    /// Until when it may be running.
    claim_expires_at: Timestamp,
    /// None while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<StoredResponse>,
    /// Into so many pieces the compressed body was cut, beside the first.
    #[serde(default)]
    extra_pieces: u32,
    expires_at: i64,
}

/// A piece of a body that is too long for one item.
#[derive(Serialize, Deserialize)]
struct Piece {
    number: u32,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

/// The most bytes of a body in an item, which may have 400 KB (an AWS limit).
const MAX_PIECE_BYTES: usize = 350_000;

impl IdempotencyRecords {
    /// Begins a request, unless it is known. A try that has not ended is followed by another one once its time is over. One
    /// write, another one in that case, and one read for an answer that is too long for one item.
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
            // It was written by this very call, whose answer was lost.
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

    /// Puts an answer together again.
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
            // Or it is this very call that has written it, whose answer was lost.
            .condition_expression("claimId IN (:before, :claim) AND attribute_not_exists(response)")
            .expression_attribute_values(":claim", AttributeValue::S(claim_id.clone()))
            .expression_attribute_values(":until", AttributeValue::S(claim_expires_at.to_string()))
            .expression_attribute_values(":before", AttributeValue::S(before));
        Ok(match none_if_condition_failed(request.send().await)? {
            Some(_) => Claim::Acquired(AcquiredClaim { claim_id, seed: seed.retried() }),
            // Somebody else was faster.
            None => Claim::InProgress,
        })
    }

    /// Keeps the answer of a try. One write, and another one for what is too long for one item.
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
            return Err(StoreError::Busy("an answer was not kept".into()));
        }
        let request = self
            .update_claimed(key, claim)
            .update_expression("SET response = :response, extraPieces = :extra")
            .expression_attribute_values(
                ":response",
                serde_dynamo::to_attribute_value(response).map_err(StoreError::Malformed)?,
            )
            .expression_attribute_values(":extra", AttributeValue::N(pieces.len().to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }

    /// A change that only the last try of a request may make, while it has no answer.
    fn update_claimed(&self, key: &RequestKey, claim: &AcquiredClaim) -> UpdateItemFluentBuilder {
        let Table { client, name } = &self.0;
        client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::idempotency_record(key).attributes()))
            .condition_expression(CLAIM_HELD)
            .expression_attribute_values(":claim", AttributeValue::S(claim.claim_id.clone()))
    }

    /// Ends a try that has failed on this side: the next one may follow at once, and goes on with what this one has begun.
    /// One write.
    pub async fn release(&self, key: &RequestKey, claim: &AcquiredClaim) -> Result<(), StoreError> {
        let request = self
            .update_claimed(key, claim)
            .update_expression("SET claimExpiresAt = :now")
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()));
        none_if_condition_failed(request.send().await).map(|_| ())
    }

    /// Forgets a request that was refused: its key may come with another body. One write.
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

/// Nobody has tried again since, and the request has no answer.
const CLAIM_HELD: &str = "claimId = :claim AND attribute_not_exists(response)";

fn new_claim_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Cuts what is too long for one item.
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
