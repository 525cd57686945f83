//! Records of requests with an `Idempotency-Key`, and their responses.
//!
//! A caller acquires a claim before it processes a request, and completes it with the response,
//! releases it for a retry, or deletes the record. A claim that expires can be acquired again, with
//! the same [`RequestSeed`].

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{Condition, Delete, Put, StoreError, Table, Update, number, text, to_item, to_value},
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
    /// Response, once the request is complete. Stored as [`RESPONSE`].
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
        let expired = Condition::compare("expiresAt", "<=", number(now.seconds()));
        let put = Put::new(to_item("idempotencyRecord", &keys::idempotency_record(key), &record, &[])?)
            .when(Condition::item_absent().or(expired));
        let Some(existing) = self.0.put_or_get::<Record>(put).await? else {
            return Ok(Claim::Acquired(AcquiredClaim { claim_id, seed }));
        };
        match existing {
            // This call wrote the record: the SDK repeated the request because the response was
            // lost.
            Record { claim_id: current, .. } if current == claim_id => {
                Ok(Claim::Acquired(AcquiredClaim { claim_id, seed }))
            }
            Record { body_digest: before, .. } if before != body_digest => Ok(Claim::PayloadMismatch),
            Record { response: Some(response), claim_id, extra_pieces, .. } => {
                self.assemble(key, response, (&claim_id, extra_pieces)).await
            }
            Record { claim_expires_at: before, .. } if now < before => Ok(Claim::InProgress),
            Record { seed, claim_id: before, .. } => {
                self.reclaim(key, seed, (before, claim_id), claim_expires_at).await
            }
        }
    }

    /// Assembles a response from the pieces that the completed claim stored.
    async fn assemble(
        &self,
        key: &RequestKey,
        response: StoredResponse,
        (claim_id, extra_pieces): (&str, u32),
    ) -> Result<Claim, StoreError> {
        let StoredResponse { status, headers, mut body } = response;
        if let StoredBody::Compressed(bytes) = &mut body
            && extra_pieces > 0
        {
            let wanted: Vec<_> =
                (1..=extra_pieces).map(|number| keys::idempotency_piece(key, claim_id, number)).collect();
            let mut pieces: Vec<Piece> = self.0.get_all(&wanted).await?;
            pieces.sort_by_key(|piece| piece.number);
            if !pieces.iter().map(|piece| piece.number).eq(1..=extra_pieces) {
                return Err(StoreError::Malformed("pieces of a stored response are missing".into()));
            }
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
        // This claim may already be stored: the SDK repeats a request whose response was lost.
        let unchanged = Condition::equals("claimId", text(before)).or(Condition::equals("claimId", text(&claim_id)));
        let update = Update::of(&keys::idempotency_record(key))
            .set("claimId", text(&claim_id))
            .set("claimExpiresAt", text(claim_expires_at))
            .when(unchanged.and(Condition::absent(RESPONSE)));
        Ok(if self.0.update(update).await? {
            Claim::Acquired(AcquiredClaim { claim_id, seed: seed.retried() })
        } else {
            // Another caller acquired the claim first.
            Claim::InProgress
        })
    }

    /// Stores the response of a claimed request; does nothing if the claim expired and was acquired
    /// again. One write, and one `BatchWriteItem` per 25 further pieces, which belong to the claim
    /// and expire with the record.
    pub async fn complete(
        &self,
        key: &RequestKey,
        claim: &AcquiredClaim,
        response: StoredResponse,
    ) -> Result<(), StoreError> {
        let (response, pieces) = split(response);
        let expires = number((claim.seed.at + RETENTION).seconds());
        let item = |piece: &Piece| {
            let piece_key = keys::idempotency_piece(key, &claim.claim_id, piece.number);
            let mut item = to_item("idempotencyPiece", &piece_key, piece, &[])?;
            item.insert("expiresAt".into(), expires.clone());
            Ok(item)
        };
        if !self.0.put_all(&pieces, item).await.is_empty() {
            return Err(StoreError::Busy("some pieces of a response were not written".into()));
        }
        let update = Update::of(&keys::idempotency_record(key))
            .set(RESPONSE, to_value(response)?)
            .set("extraPieces", number(pieces.len()));
        self.0.update(update.when(is_held(claim))).await.map(|_| ())
    }

    /// Releases a claim after a failure of the server. The next attempt may follow immediately and
    /// continues with the same seed. One write.
    pub async fn release(&self, key: &RequestKey, claim: &AcquiredClaim) -> Result<(), StoreError> {
        let update = Update::of(&keys::idempotency_record(key)).set("claimExpiresAt", text(Timestamp::now()));
        self.0.update(update.when(is_held(claim))).await.map(|_| ())
    }

    /// Deletes the record of a rejected request, so that its key can be used with another body. One
    /// write.
    pub async fn delete(&self, key: &RequestKey, claim: &AcquiredClaim) -> Result<(), StoreError> {
        let delete = Delete::of(&keys::idempotency_record(key)).when(is_held(claim));
        self.0.delete(delete).await.map(|_| ())
    }
}

/// Attribute of the stored response; `response` is a reserved word of DynamoDB.
const RESPONSE: &str = "storedResponse";

/// Returns the condition that the claim is the latest and that there is no response.
fn is_held(claim: &AcquiredClaim) -> Condition {
    Condition::equals("claimId", text(&claim.claim_id)).and(Condition::absent(RESPONSE))
}

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
