//! Which requests with an Idempotency-Key were made, and how they were answered.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{Item, StoreError, Table, from_item, to_item, where_it_holds},
};
use crate::domain::{
    origin::{Origin, RequestKey},
    secret::Sealed,
    timestamp::Timestamp,
};

/// The requests with an Idempotency-Key, of all environments.
#[derive(Clone, Debug)]
pub struct Requests(pub Table);

/// How long a request is known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A try of a request, which only its holder may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    /// Names it among the tries of the request.
    holder: String,
    /// Of what it makes.
    pub origin: Origin,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, by their names.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: KeptBody,
}

/// The body of an answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeptBody {
    /// Compressed.
    Compressed(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Compressed, and encrypted because it holds a secret.
    Sealed(Sealed),
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing, or only that a try has not come to its end: it is to be tried.
    Try(Try),
    /// It is being tried.
    UnderWay,
    /// It had another body.
    OtherBody,
    /// It was answered.
    Answered(Answer),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// What the body came to.
    body_digest: String,
    origin: Origin,
    /// Names the last try.
    #[serde(default)]
    holder: String,
    /// Until when it may be running.
    running_until: Timestamp,
    /// None while it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    /// Into so many pieces the compressed body was cut, beside the first.
    #[serde(default)]
    more_pieces: u32,
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
const PIECE: usize = 350_000;

impl Requests {
    /// Begins a request, unless it is known. A try that has not ended is followed by another one once its time is over. One
    /// write, another one in that case, and one read for an answer that is too long for one item.
    pub async fn begin(
        &self,
        key: &RequestKey,
        body_digest: String,
        running_until: Timestamp,
    ) -> Result<Known, StoreError> {
        let (origin, holder) = (Origin::new(), holder());
        let now = origin.at;
        let expires_at = (now + KNOWN_FOR).seconds();
        let record = Record {
            body_digest: body_digest.clone(),
            origin: origin.clone(),
            holder: holder.clone(),
            running_until,
            answer: None,
            more_pieces: 0,
            expires_at,
        };
        let Table { client, name } = &self.0;
        let put = client
            .put_item()
            .table_name(name)
            .set_item(Some(to_item("request", &keys::request(key), &record, &[])?))
            .condition_expression("attribute_not_exists(pk) OR expiresAt <= :now")
            .expression_attribute_values(":now", AttributeValue::N(now.seconds().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let known: Record = match put.send().await {
            Ok(_) => return Ok(Known::Try(Try { holder, origin })),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    from_item(failed.item.clone().unwrap_or_default())?
                }
                _ => return Err(error.into()),
            },
        };
        match known {
            // It was written by this very call, whose answer was lost.
            Record { holder: holds, .. } if holds == holder => Ok(Known::Try(Try { holder, origin })),
            Record { body_digest: before, .. } if before != body_digest => Ok(Known::OtherBody),
            Record { answer: Some(answer), more_pieces, .. } => self.whole(key, answer, more_pieces).await,
            Record { running_until: before, .. } if now < before => Ok(Known::UnderWay),
            Record { origin, holder: before, .. } => self.try_again(key, origin, (before, holder), running_until).await,
        }
    }

    /// Puts an answer together again.
    async fn whole(&self, key: &RequestKey, answer: Answer, more_pieces: u32) -> Result<Known, StoreError> {
        let Answer { status, headers, mut body } = answer;
        if let KeptBody::Compressed(bytes) = &mut body
            && more_pieces > 0
        {
            let wanted: Vec<_> = (1..=more_pieces).map(|number| keys::request_piece(key, number)).collect();
            let mut pieces: Vec<Piece> = self.0.get_all(&wanted).await?;
            pieces.sort_by_key(|piece| piece.number);
            pieces.into_iter().for_each(|piece| bytes.extend(piece.bytes));
        }
        Ok(Known::Answered(Answer { status, headers, body }))
    }

    async fn try_again(
        &self,
        key: &RequestKey,
        origin: Origin,
        (before, holder): (String, String),
        running_until: Timestamp,
    ) -> Result<Known, StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::request(key).attributes()))
            .update_expression("SET holder = :holder, runningUntil = :until")
            // Or it is this very call that has written it, whose answer was lost.
            .condition_expression("holder IN (:before, :holder) AND attribute_not_exists(answer)")
            .expression_attribute_values(":holder", AttributeValue::S(holder.clone()))
            .expression_attribute_values(":until", AttributeValue::S(running_until.to_string()))
            .expression_attribute_values(":before", AttributeValue::S(before));
        Ok(match where_it_holds(request.send().await)? {
            Some(_) => Known::Try(Try { holder, origin: origin.repeated() }),
            // Somebody else was faster.
            None => Known::UnderWay,
        })
    }

    /// Keeps the answer of a try. One write, and another one for what is too long for one item.
    pub async fn answered(&self, key: &RequestKey, ended: &Try, answer: Answer) -> Result<(), StoreError> {
        let (answer, pieces) = cut(answer);
        let expires = AttributeValue::N((ended.origin.at + KNOWN_FOR).seconds().to_string());
        let items = pieces.iter().map(|piece| {
            let mut item = to_item("requestPiece", &keys::request_piece(key, piece.number), piece, &[])?;
            item.insert("expiresAt".into(), expires.clone());
            Ok(item)
        });
        let items = items.collect::<Result<Vec<Item>, StoreError>>()?;
        if !self.0.put_all(items).await.is_empty() {
            return Err(StoreError::Busy("an answer was not kept".into()));
        }
        let request = self
            .end(key, ended)
            .update_expression("SET answer = :answer, morePieces = :more")
            .expression_attribute_values(
                ":answer",
                serde_dynamo::to_attribute_value(answer).map_err(StoreError::Malformed)?,
            )
            .expression_attribute_values(":more", AttributeValue::N(pieces.len().to_string()));
        where_it_holds(request.send().await).map(|_| ())
    }

    /// A change that only the last try of a request may make, while it has no answer.
    fn end(&self, key: &RequestKey, ended: &Try) -> UpdateItemFluentBuilder {
        let Table { client, name } = &self.0;
        client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::request(key).attributes()))
            .condition_expression(LAST_TRY)
            .expression_attribute_values(":try", AttributeValue::S(ended.holder.clone()))
    }

    /// Ends a try that has failed on this side: the next one may follow at once, and goes on with what this one has begun.
    /// One write.
    pub async fn failed(&self, key: &RequestKey, ended: &Try) -> Result<(), StoreError> {
        let request = self
            .end(key, ended)
            .update_expression("SET runningUntil = :now")
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()));
        where_it_holds(request.send().await).map(|_| ())
    }

    /// Forgets a request that was refused: its key may come with another body. One write.
    pub async fn refused(&self, key: &RequestKey, ended: &Try) -> Result<(), StoreError> {
        let Table { client, name } = &self.0;
        let request = client
            .delete_item()
            .table_name(name)
            .set_key(Some(keys::request(key).attributes()))
            .condition_expression(LAST_TRY)
            .expression_attribute_values(":try", AttributeValue::S(ended.holder.clone()));
        where_it_holds(request.send().await).map(|_| ())
    }
}

/// Nobody has tried again since, and the request has no answer.
const LAST_TRY: &str = "holder = :try AND attribute_not_exists(answer)";

fn holder() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Cuts what is too long for one item.
fn cut(answer: Answer) -> (Answer, Vec<Piece>) {
    let Answer { status, headers, body } = answer;
    let KeptBody::Compressed(bytes) = body else {
        return (Answer { status, headers, body }, Vec::new());
    };
    let mut pieces = bytes.chunks(PIECE).map(<[u8]>::to_vec);
    let first = pieces.next().unwrap_or_default();
    let pieces = (1..).zip(pieces).map(|(number, bytes)| Piece { number, bytes }).collect();
    (Answer { status, headers, body: KeptBody::Compressed(first) }, pieces)
}
