//! Transactions, and the reasons why DynamoDB cancels them.

use aws_sdk_dynamodb::{operation::transact_write_items::TransactWriteItemsError, types::TransactWriteItem};
use rand::Rng;

use super::{
    client::Table,
    error::{Retries, StoreError},
    expression::Write,
};

/// Writes that are executed together: at most 100.
#[derive(Debug, Default)]
pub(in crate::store) struct Transaction {
    /// Each with its table, if that is another one.
    writes: Vec<(Option<String>, Write)>,
}

/// Place of a write in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Place(usize);

/// Result of a transaction.
#[derive(Debug)]
#[must_use]
pub(in crate::store) enum Transacted {
    /// Everything was written.
    Committed,
    /// Nothing was written: conditions failed.
    Refused(Refused),
}

/// Failed conditions of a transaction: for each write, whether its condition failed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Refused(Vec<bool>);

impl Transaction {
    /// Adds a write.
    pub(in crate::store) fn add(&mut self, write: impl Into<Write>) -> Place {
        self.push(None, write.into())
    }

    /// Adds a write to another table.
    pub(in crate::store) fn add_to(&mut self, table: &Table, write: impl Into<Write>) -> Place {
        self.push(Some(table.name.clone()), write.into())
    }

    /// Adds writes. Returns their places, in order.
    pub(in crate::store) fn add_all<W: Into<Write>>(&mut self, writes: impl IntoIterator<Item = W>) -> Vec<Place> {
        writes.into_iter().map(|write| self.add(write)).collect()
    }

    fn push(&mut self, table: Option<String>, write: Write) -> Place {
        self.writes.push((table, write));
        Place(self.writes.len() - 1)
    }
}

impl From<Vec<Write>> for Transaction {
    fn from(writes: Vec<Write>) -> Self {
        Self { writes: writes.into_iter().map(|write| (None, write)).collect() }
    }
}

impl Transacted {
    /// Returns whether everything was written.
    pub(in crate::store) fn is_committed(&self) -> bool {
        matches!(self, Self::Committed)
    }
}

impl Refused {
    /// Returns whether the condition of a write failed.
    pub(in crate::store) fn has(&self, place: Place) -> bool {
        self.0.get(place.0).is_some_and(|failed| *failed)
    }

    /// Returns whether the condition of one of these writes failed.
    pub(in crate::store) fn has_any<'p>(&self, places: impl IntoIterator<Item = &'p Place>) -> bool {
        places.into_iter().any(|place| self.has(*place))
    }
}

impl Table {
    /// Executes all writes or none. Retried after conflicts and other transient errors.
    pub(in crate::store) async fn transact(
        &self,
        transaction: impl Into<Transaction>,
    ) -> Result<Transacted, StoreError> {
        let writes = transaction.into().writes.into_iter();
        let actions = writes.map(|(other, write)| write.into_action(other.as_ref().unwrap_or(&self.name)));
        self.execute(actions.collect::<Result<_, _>>()?).await
    }

    async fn execute(&self, actions: Vec<TransactWriteItem>) -> Result<Transacted, StoreError> {
        // With the token, a request whose response was lost is not executed twice.
        let token = hex::encode(rand::rng().random::<[u8; 16]>());
        let request = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(actions));
        let mut attempts = Retries::start();
        loop {
            let Err(error) = request.clone().send().await else {
                return Ok(Transacted::Committed);
            };
            match error.as_service_error().and_then(cancellation) {
                Some(Cancellation::Conditions(refused)) => return Ok(Transacted::Refused(refused)),
                Some(Cancellation::Permanent) => return Err(StoreError::Unfit(error.into())),
                Some(Cancellation::Transient) | None => attempts.wait_after(error.into()).await?,
            }
        }
    }
}

/// Reason why a transaction was cancelled.
#[derive(Debug, PartialEq, Eq)]
enum Cancellation {
    /// Conditions failed.
    Conditions(Refused),
    /// Other transactions or throttling interfered.
    Transient,
    /// The transaction can never succeed, for example because an item is too large.
    Permanent,
}

/// Returns the reason of a cancellation, or none for other errors.
fn cancellation(refusal: &TransactWriteItemsError) -> Option<Cancellation> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = refusal else {
        return None;
    };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
    let transient = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    Some(if codes.contains(&"ConditionalCheckFailed") {
        Cancellation::Conditions(Refused(codes.iter().map(|code| *code == "ConditionalCheckFailed").collect()))
    } else if codes.iter().all(|code| transient.contains(code)) {
        Cancellation::Transient
    } else {
        Cancellation::Permanent
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{CancellationReason, error::TransactionCanceledException};

    use super::*;

    fn cancelled(codes: &[&str]) -> Option<Cancellation> {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let exception = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
        cancellation(&TransactWriteItemsError::TransactionCanceledException(exception))
    }

    #[test]
    fn conflicts_are_transient_and_failed_conditions_are_results() {
        for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            assert_eq!(cancelled(&["None", code]), Some(Cancellation::Transient), "{code}");
        }
        for code in ["ValidationError", "ItemCollectionSizeLimitExceeded", "DuplicateItem"] {
            assert_eq!(cancelled(&["TransactionConflict", code]), Some(Cancellation::Permanent), "{code}");
        }
        let failed = Cancellation::Conditions(Refused(vec![false, true, false]));
        assert_eq!(cancelled(&["None", "ConditionalCheckFailed", "TransactionConflict"]), Some(failed));
    }
}
