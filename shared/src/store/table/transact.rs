//! Transactions, and the reasons why DynamoDB cancels them.

use aws_sdk_dynamodb::{operation::transact_write_items::TransactWriteItemsError, types::TransactWriteItem};
use rand::Rng;

use super::{
    client::Table,
    error::{Retries, StoreError},
    expression::Write,
};

impl Table {
    /// Executes all writes (at most 100) or none. Returns an empty list on success. If conditions
    /// failed, returns one flag per write: `true` if its condition failed. Retried after conflicts
    /// and other transient errors.
    pub(in crate::store) async fn transact(&self, writes: Vec<Write>) -> Result<Vec<bool>, StoreError> {
        self.execute(self.actions(writes)?).await
    }

    /// Executes writes to this table and to another one like [`Self::transact`].
    pub(in crate::store) async fn transact_with(
        &self,
        writes: Vec<Write>,
        (other, others): (&Self, Vec<Write>),
    ) -> Result<Vec<bool>, StoreError> {
        let mut actions = self.actions(writes)?;
        actions.extend(other.actions(others)?);
        self.execute(actions).await
    }

    fn actions(&self, writes: Vec<Write>) -> Result<Vec<TransactWriteItem>, StoreError> {
        writes.into_iter().map(|write| write.into_action(&self.name)).collect()
    }

    async fn execute(&self, actions: Vec<TransactWriteItem>) -> Result<Vec<bool>, StoreError> {
        // With the token, a request whose response was lost is not executed twice.
        let token = hex::encode(rand::rng().random::<[u8; 16]>());
        let request = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(actions));
        let mut attempts = Retries::start();
        loop {
            let Err(error) = request.clone().send().await else {
                return Ok(Vec::new());
            };
            match error.as_service_error().and_then(cancellation) {
                Some(Cancellation::Conditions(failed)) => return Ok(failed),
                Some(Cancellation::Permanent) => return Err(StoreError::Unfit(error.into())),
                Some(Cancellation::Transient) | None => attempts.wait_after(error.into()).await?,
            }
        }
    }
}

/// Reason why a transaction was cancelled.
#[derive(Debug, PartialEq, Eq)]
enum Cancellation {
    /// Conditions failed. Contains whether that of each write failed, in order.
    Conditions(Vec<bool>),
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
        Cancellation::Conditions(codes.iter().map(|code| *code == "ConditionalCheckFailed").collect())
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
        let failed = Cancellation::Conditions(vec![false, true, false]);
        assert_eq!(cancelled(&["None", "ConditionalCheckFailed", "TransactionConflict"]), Some(failed));
    }
}
