//! Users and the claims of their names.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use super::{
    keys,
    listing::{Filter, LISTING, Page, Range},
    table::{Item, StoreError, Table, cancellation_reasons, from_item, pause_before, put_new, refused, to_item},
};
use crate::domain::{
    id::{EnvironmentId, UserId},
    names::{CanonicalName, Names, UserRef},
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

/// Why a user was not changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ChangeUserError {
    /// Another user of the environment has one of the names.
    #[error("a name is taken")]
    Taken {
        /// It is the username.
        username: bool,
        /// It is the e-mail address.
        email: bool,
    },
    /// It was changed or deleted since it was read.
    #[error("the user was changed meanwhile")]
    Changed,
    /// DynamoDB did not answer as it should.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is removed behind a user that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The environment of the user.
    pub environment_id: EnvironmentId,
    /// The user.
    pub user_id: UserId,
    /// When it was deleted.
    pub started_at: Timestamp,
}

/// Which users are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserQuery<'a> {
    /// Of this status.
    pub status: Option<Status>,
    /// After this position.
    pub after: Option<&'a str>,
    /// At most so many.
    pub limit: usize,
}

/// What came of one user of many.
pub type Created = Result<User, CreateUserError>;

/// So many users go into a transaction: a user and two claims each, of 100 items (an AWS limit).
const CREATED_AT_ONCE: usize = 33;
/// So many transactions are under way at once.
const TRANSACTIONS_AT_ONCE: usize = 8;

fn items_of(environment: EnvironmentId, user: &User, names: &Names) -> Result<Vec<Item>, StoreError> {
    let mut items = vec![user_item(environment, user)?];
    for name in names.claims() {
        items.push(claim_item(environment, user.user_id, &name)?);
    }
    Ok(items)
}

fn user_item(environment: EnvironmentId, user: &User) -> Result<Item, StoreError> {
    let listing = [("listPk", keys::users_shard(environment, user.user_id)), ("listSk", user.user_id.to_string())];
    to_item("user", &keys::user(environment, user.user_id), user, &listing)
}

fn claim_item(environment: EnvironmentId, user: UserId, name: &CanonicalName) -> Result<Item, StoreError> {
    to_item("nameClaim", &keys::name_claim(environment, name), &Claim { user_id: user }, &[])
}

impl Users {
    /// One transaction: the user and its claims, or nothing.
    pub async fn create(&self, environment: EnvironmentId, new: NewUser) -> Result<User, CreateUserError> {
        let names = new.names.clone();
        let user = new.create(Timestamp::now());
        let items = items_of(environment, &user, &names)?;
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

    /// Creates many users, each with its claims or not at all. The answer has one entry for each, in order. One transaction
    /// for 33 users, eight at once, and one more for each round of conflicts in it. No name may be there twice.
    pub async fn create_all(&self, environment: EnvironmentId, new: Vec<NewUser>) -> Vec<Created> {
        let now = Timestamp::now();
        let users: Vec<(User, Names)> = new
            .into_iter()
            .map(|new| {
                let names = new.names.clone();
                (new.create(now), names)
            })
            .collect();
        let mut chunks = Vec::new();
        for chunk in users.chunks(CREATED_AT_ONCE) {
            chunks.push(self.create_chunk(environment, chunk.to_vec()));
        }
        stream::iter(chunks).buffered(TRANSACTIONS_AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    /// Creates users in one transaction; those whose names are taken, which the reasons of its cancellation tell, are left
    /// out of the next.
    async fn create_chunk(&self, environment: EnvironmentId, users: Vec<(User, Names)>) -> Vec<Created> {
        let mut outcomes: Vec<Option<Created>> = users.iter().map(|_| None).collect();
        for round in 0..=users.len() as u32 {
            let open: Vec<usize> =
                (0..users.len()).filter(|place| outcomes.get(*place).is_some_and(Option::is_none)).collect();
            if open.is_empty() {
                break;
            }
            pause_before(round.min(MOST_PAUSES)).await;
            let (done, passing) = match self.try_chunk(environment, &users, &open).await {
                Ok(taken) if taken.is_empty() => {
                    (open.iter().filter_map(|place| Some((*place, Ok(users.get(*place)?.0.clone())))).collect(), false)
                }
                Ok(known) => {
                    let outcome = |(place, error): (usize, Option<CreateUserError>)| {
                        let created = || users.get(place).map(|(user, _)| Ok(user.clone()));
                        Some((place, error.map_or_else(created, |error| Some(Err(error)))?))
                    };
                    (known.into_iter().filter_map(outcome).collect::<Vec<_>>(), false)
                }
                Err(error) => {
                    let busy = error.is_passing() && round < MOST_PAUSES;
                    let failed = |place: &usize| (*place, Err(StoreError::Busy(error.to_string().into()).into()));
                    (if busy { Vec::new() } else { open.iter().map(failed).collect() }, busy)
                }
            };
            if done.is_empty() && !passing {
                break;
            }
            for (place, outcome) in done {
                if let Some(slot) = outcomes.get_mut(place) {
                    *slot = Some(outcome);
                }
            }
        }
        let left = || Err(StoreError::Busy("the user was not created".into()).into());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(left)).collect()
    }

    /// One transaction. Answers with the places of users whose names are taken, or that are there
    /// already, in which case it has created none.
    async fn try_chunk(
        &self,
        environment: EnvironmentId,
        users: &[(User, Names)],
        open: &[usize],
    ) -> Result<Vec<(usize, Option<CreateUserError>)>, StoreError> {
        let Table { client, name } = &self.0;
        let (mut actions, mut sizes) = (Vec::new(), Vec::new());
        for (place, (user, names)) in open.iter().filter_map(|place| Some((*place, users.get(*place)?))) {
            let items = items_of(environment, user, names)?;
            sizes.push((place, items.len()));
            for item in items {
                actions.push(put_new(name, item)?);
            }
        }
        match client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                let reasons = error.as_service_error().map(cancellation_reasons).unwrap_or_default();
                let mut rest = reasons.as_slice();
                let mut conflicts = Vec::new();
                for (place, size) in sizes {
                    let (own, others) = rest.split_at_checked(size).unwrap_or_default();
                    rest = others;
                    if own.first() == Some(&true) {
                        // Its id is random: it was this request, whose answer was lost, that has created it.
                        conflicts.push((place, None));
                    } else if let Some(error) = users.get(place).and_then(|(_, names)| taken(names, own)) {
                        conflicts.push((place, Some(error)));
                    }
                }
                if conflicts.is_empty() { Err(error.into()) } else { Ok(conflicts) }
            }
        }
    }

    /// Replaces a user, where it is still as it was read, and moves its claims: one transaction.
    pub async fn update(&self, environment: EnvironmentId, before: &User, after: &User) -> Result<(), ChangeUserError> {
        let Table { client, name } = &self.0;
        let (old, new) = (names_of(before).claims(), names_of(after).claims());
        let put = Put::builder()
            .table_name(name)
            .set_item(Some(user_item(environment, after)?))
            .condition_expression("version = :read")
            .expression_attribute_values(":read", AttributeValue::N(before.version.to_string()));
        let mut actions = vec![TransactWriteItem::builder().put(put.build().map_err(refused)?).build()];
        let added: Vec<&CanonicalName> = new.iter().filter(|claim| !old.contains(claim)).collect();
        for claim in &added {
            actions.push(put_new(name, claim_item(environment, after.user_id, claim)?)?);
        }
        for claim in old.iter().filter(|claim| !new.contains(claim)) {
            actions.push(self.delete_claim(environment, before.user_id, claim)?);
        }
        match client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let reasons = error.as_service_error().map(cancellation_reasons).unwrap_or_default();
                let taken: Vec<&CanonicalName> = added
                    .iter()
                    .zip(reasons.iter().skip(1))
                    .filter(|(_, failed)| **failed)
                    .map(|(name, _)| *name)
                    .collect();
                if reasons.first() == Some(&true) {
                    Err(ChangeUserError::Changed)
                } else if !taken.is_empty() {
                    let email = after.email.as_ref().map(|email| email.canonical());
                    Err(ChangeUserError::Taken {
                        username: taken.contains(&&after.username.canonical()),
                        email: email.is_some_and(|email| taken.contains(&&email)),
                    })
                } else if reasons.iter().any(|failed| *failed) {
                    Err(ChangeUserError::Changed)
                } else {
                    Err(StoreError::from(error).into())
                }
            }
        }
    }

    fn delete_claim(
        &self,
        environment: EnvironmentId,
        user: UserId,
        claim: &CanonicalName,
    ) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.0.name)
            .set_key(Some(keys::name_claim(environment, claim).attributes()))
            .condition_expression("userId = :user")
            .expression_attribute_values(":user", AttributeValue::S(user.to_string()));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(refused)?).build())
    }

    /// Removes a user and its claims, where it is still as it was read, and notes that what it owned is to be removed: one
    /// transaction.
    pub async fn delete(&self, environment: EnvironmentId, user: &User) -> Result<Deletion, ChangeUserError> {
        let Table { client, name } = &self.0;
        let deletion = Deletion { environment_id: environment, user_id: user.user_id, started_at: Timestamp::now() };
        let listed = keys::listed_deletion(environment, user.user_id);
        let job = to_item(
            "deletion",
            &keys::deletion(environment, user.user_id),
            &deletion,
            &[("listPk", listed.pk), ("listSk", listed.sk)],
        )?;
        let delete = Delete::builder()
            .table_name(name)
            .set_key(Some(keys::user(environment, user.user_id).attributes()))
            .condition_expression("version = :read")
            .expression_attribute_values(":read", AttributeValue::N(user.version.to_string()));
        let put = Put::builder().table_name(name).set_item(Some(job)).build().map_err(refused)?;
        let mut actions = vec![
            TransactWriteItem::builder().delete(delete.build().map_err(refused)?).build(),
            TransactWriteItem::builder().put(put).build(),
        ];
        for claim in names_of(user).claims() {
            actions.push(self.delete_claim(environment, user.user_id, &claim)?);
        }
        match client.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(deletion),
            Err(error) => {
                let reasons = error.as_service_error().map(cancellation_reasons).unwrap_or_default();
                if reasons.iter().any(|failed| *failed) {
                    Err(ChangeUserError::Changed)
                } else {
                    Err(StoreError::from(error).into())
                }
            }
        }
    }

    /// A page of the environment's users, the newest first, as the index tells of them. One query for each of four
    /// partitions; more where a filter leaves out most of what is read.
    pub async fn list(&self, environment: EnvironmentId, query: UserQuery<'_>) -> Result<Page<User>, StoreError> {
        let partitions: Vec<String> =
            (0..keys::USER_SHARDS).map(|shard| keys::users_of_environment(environment, shard)).collect();
        let newest_first = Range { newest_first: true, ..Range::all(LISTING) };
        let filter = Filter::default().is("status", query.status.map(Status::as_str));
        self.0.page(&partitions, &newest_first, &filter, (query.after, query.limit)).await
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
            .update_expression("SET #status = :status, updatedAt = :now ADD tokenEpoch :ended, version :one")
            .condition_expression("attribute_exists(pk) AND #status <> :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", AttributeValue::S(status.as_str().into()))
            .expression_attribute_values(":now", AttributeValue::S(Timestamp::now().to_string()))
            .expression_attribute_values(":ended", AttributeValue::N(ended.into()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
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

/// The names of a user as it is stored.
fn names_of(user: &User) -> Names {
    Names { username: user.username.clone(), email: user.email.clone() }
}

/// A transaction that others were in the way of is tried again so often.
const MOST_PAUSES: u32 = 4;

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
