//! Users and the claims of their names.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Deserialize, Serialize};

use super::{
    keys,
    table::{StoreError, Table, cancellation_reasons, from_item, put_new, to_item},
};
use crate::domain::{
    id::{EnvironmentId, UserId},
    names::{Names, UserRef},
    timestamp::Timestamp,
    user::{NewUser, Status, User},
};

/// The users of all environments.
#[derive(Clone, Debug)]
pub struct Users(pub Table);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    user_id: UserId,
}

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// Another user of the environment has one of the names.
    #[error("a name is taken")]
    Taken {
        /// It is the username.
        username: bool,
        /// It is the e-mail address.
        email: bool,
    },
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Users {
    /// One transaction: the user and its claims, or nothing.
    pub async fn create(&self, environment: EnvironmentId, new: NewUser) -> Result<User, CreateUserError> {
        let names = new.names.clone();
        let user = new.create(Timestamp::now());
        let listing = [("listPk", keys::users_shard(environment, user.user_id)), ("listSk", user.user_id.to_string())];
        let mut items = vec![to_item("user", &keys::user(environment, user.user_id), &user, &listing)?];
        for name in names.claims() {
            let claim = Claim { user_id: user.user_id };
            items.push(to_item("nameClaim", &keys::name_claim(environment, &name), &claim, &[])?);
        }
        let Table { client, name } = &self.0;
        let request = client
            .transact_write_items()
            .set_transact_items(Some(items.into_iter().map(|item| put_new(name, item)).collect::<Result<_, _>>()?));
        match request.send().await {
            Ok(_) => Ok(user),
            Err(error) => match error.as_service_error() {
                Some(refusal) if refusal.is_transaction_canceled_exception() => {
                    let reasons = cancellation_reasons(refusal);
                    taken(&names, &reasons).map_or_else(|| Err(StoreError::Busy(error.into()).into()), Err)
                }
                _ => Err(StoreError::from(error).into()),
            },
        }
    }

    /// One read.
    pub async fn get(&self, environment: EnvironmentId, id: UserId) -> Result<Option<User>, StoreError> {
        self.0.get(&keys::user(environment, id)).await
    }

    /// Switches a user on or off; again changes nothing. Switching off ends the tokens made so far for good. One write.
    pub async fn set_status(
        &self,
        environment: EnvironmentId,
        id: UserId,
        status: Status,
    ) -> Result<Option<User>, StoreError> {
        let ended = match status {
            Status::Active => "0",
            Status::Disabled => "1",
        };
        let Table { client, name } = &self.0;
        let request = client
            .update_item()
            .table_name(name)
            .set_key(Some(keys::user(environment, id).attributes()))
            .update_expression("SET #status = :status, updatedAt = :now ADD tokenEpoch :ended")
            .condition_expression("attribute_exists(pk) AND #status <> :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", AttributeValue::S(status.as_str().into()))
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()))
            .expression_attribute_values(":ended", AttributeValue::N(ended.into()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => answer.attributes.map(from_item).transpose(),
            Err(error) => match error.as_service_error() {
                // It is so already, or is not there.
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    failed.item.clone().map(from_item).transpose()
                }
                _ => Err(error.into()),
            },
        }
    }

    /// The id that a reference leads to. No read for an id, which is not looked up; one for a name.
    pub async fn resolve(&self, environment: EnvironmentId, user: &UserRef) -> Result<Option<UserId>, StoreError> {
        match user {
            UserRef::Id(id) => Ok(Some(*id)),
            UserRef::Name(name) => {
                let claim: Option<Claim> = self.0.get(&keys::name_claim(environment, name)).await?;
                Ok(claim.map(|claim| claim.user_id))
            }
        }
    }

    /// One read by id, two by name.
    pub async fn find(&self, environment: EnvironmentId, user: &UserRef) -> Result<Option<User>, StoreError> {
        match self.resolve(environment, user).await? {
            Some(id) => self.get(environment, id).await,
            None => Ok(None),
        }
    }
}

/// Which names are taken; none where the transaction was cancelled for another reason.
fn taken(names: &Names, failed: &[bool]) -> Option<CreateUserError> {
    let claim = |index: usize| failed.get(index + 1).copied().unwrap_or(false);
    let (username, email) = match names.claims().len() {
        // One claim serves both where the username is the e-mail address.
        1 => (claim(0), claim(0) && names.email.is_some()),
        _ => (claim(0), claim(1)),
    };
    (username || email).then_some(CreateUserError::Taken { username, email })
}
