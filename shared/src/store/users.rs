//! Users, and the claims that keep their usernames and email addresses unique in an environment.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use super::{
    erasures::Erasure,
    events::Outgoing,
    jobs::{self, JobId, JobKind},
    keys,
    table::{
        Access, Condition, Delete, Filter, Item, LISTING, Page, PageRequest, Place, Put, Range, ReadWrite, Refused,
        StoreError, Table, Transacted, Transaction, Write, number, text, to_item,
    },
    tombstones::{check_not_deleted, mark_deleted},
    user_jobs::{Deletion, StatusChange},
};
use crate::domain::{
    access::CallingUser,
    id::{EnvironmentId, UserId},
    names::{CanonicalName, UserRef},
    request_seed::RequestSeed,
    timestamp::Timestamp,
    user::{OwnerStatus, User, UserStatus},
};

/// Users of all environments.
#[derive(Clone, Debug)]
pub struct Users<A: Access = ReadWrite>(pub Table<A>);

/// Claim of a name by a user.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    user_id: UserId,
}

/// Names of a user that other users of the environment have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenNames {
    /// Whether the username is taken.
    pub username: bool,
    /// Whether the email address is taken.
    pub email: bool,
}

/// Reason why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateUserError {
    /// Another user of the environment has a name of the user.
    #[error("the username or email address is taken")]
    Taken(TakenNames),
    /// DynamoDB failed. Users of the same transaction share the error.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// Reason why a user was not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateUserError {
    /// Another user of the environment has a name of the user.
    #[error("the username or email address is taken")]
    Taken(TakenNames),
    /// The user was changed or deleted after it was read.
    #[error("the user was modified concurrently")]
    Conflict,
    /// DynamoDB failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Maximum number of users per transaction: a user, two claims and a check each, of 100 items (AWS
/// limit).
const USERS_PER_TRANSACTION: usize = 25;
/// Maximum number of concurrent transactions.
const MAX_CONCURRENT_TRANSACTIONS: usize = 8;
/// Number of partitions over which the users of an environment are listed.
pub const SHARDS: u32 = keys::USER_SHARDS;

fn user_item(environment: EnvironmentId, user: &User) -> Result<Item, StoreError> {
    let listing = keys::listed_user(environment, user.user_id).listing();
    to_item("user", &keys::user(environment, user.user_id), user, &listing)
}

fn claim_item(environment: EnvironmentId, user: UserId, name: &CanonicalName) -> Result<Item, StoreError> {
    to_item("nameClaim", &keys::name_claim(environment, name), &Claim { user_id: user }, &[])
}

/// Returns the deletion of a claim, if the user holds it.
fn delete_claim(environment: EnvironmentId, user: UserId, claim: &CanonicalName) -> Write {
    let held = Condition::equals("userId", text(user));
    Delete::of(&keys::name_claim(environment, claim)).when(held).into()
}

impl Users {
    /// Creates a user with its claims. A user with the same id is left unchanged, even if it was
    /// deleted since: it stems from an earlier attempt of the same request. One transaction.
    pub async fn create(
        &self,
        environment: EnvironmentId,
        user: &User,
        seed: &RequestSeed,
    ) -> Result<(), CreateUserError> {
        let created = self.create_chunk(environment, std::slice::from_ref(user), seed).await;
        created.into_iter().next().unwrap_or(Ok(()))
    }

    /// Creates users, each with its claims or not at all. Returns one result per user, in order. No
    /// two users may have the same name. One transaction per 25 users, up to eight concurrently,
    /// and one more for each round of conflicts within it.
    pub async fn create_all(
        &self,
        environment: EnvironmentId,
        users: &[User],
        seed: &RequestSeed,
    ) -> Vec<Result<(), CreateUserError>> {
        let transactions = users.chunks(USERS_PER_TRANSACTION).map(|users| self.create_chunk(environment, users, seed));
        // Collected first: a stream of closures that borrow is not `Send`.
        let transactions: Vec<_> = transactions.collect();
        let created = stream::iter(transactions).buffered(MAX_CONCURRENT_TRANSACTIONS).collect::<Vec<_>>().await;
        created.into_iter().flatten().collect()
    }

    /// Creates users in one transaction. Users that the transaction rejects are excluded from the
    /// next one.
    async fn create_chunk(
        &self,
        environment: EnvironmentId,
        users: &[User],
        seed: &RequestSeed,
    ) -> Vec<Result<(), CreateUserError>> {
        let mut outcomes: Vec<Option<Result<(), CreateUserError>>> = users.iter().map(|_| None).collect();
        loop {
            let mut unresolved: Vec<_> =
                users.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none()).collect();
            if unresolved.is_empty() {
                return outcomes.into_iter().flatten().collect();
            }
            let candidates: Vec<&User> = unresolved.iter().map(|(user, _)| *user).collect();
            match self.try_create(environment, &candidates, seed).await {
                Ok(known) => {
                    for ((_, outcome), known) in unresolved.iter_mut().zip(known) {
                        **outcome = known;
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    unresolved.into_iter().for_each(|(_, outcome)| *outcome = Some(Err(error.clone().into())));
                }
            }
        }
    }

    /// Executes one transaction. Returns the result of each user, or none for users that failed
    /// because of another user in the transaction. At least one user has a result.
    async fn try_create(
        &self,
        environment: EnvironmentId,
        users: &[&User],
        seed: &RequestSeed,
    ) -> Result<Vec<Option<Result<(), CreateUserError>>>, StoreError> {
        let (mut writes, mut places) = (Transaction::default(), Vec::new());
        for user in users {
            let stored = writes.add(Put::if_absent(user_item(environment, user)?));
            let claims = add_claims(&mut writes, environment, user, user.names().claims())?;
            let deleted = check_not_deleted(&keys::user(environment, user.user_id), seed);
            places.push((stored, claims, deleted.map(|check| writes.add(check))));
        }
        let Transacted::Refused(refused) = self.0.transact(writes).await? else {
            return Ok(users.iter().map(|_| Some(Ok(()))).collect());
        };
        let known = users.iter().zip(places).map(|(user, (stored, claims, deleted))| {
            // Ids are random: an earlier attempt of the same request created the user.
            if refused.has(stored) || refused.has_any(&deleted) {
                return Some(Ok(()));
            }
            taken(user, &claims, &refused).map(|taken| Err(CreateUserError::Taken(taken)))
        });
        Ok(known.collect())
    }

    /// Replaces a user and moves its claims, if its version is unchanged. One transaction.
    pub async fn update(&self, environment: EnvironmentId, before: &User, after: &User) -> Result<(), UpdateUserError> {
        let (old, new) = (before.names().claims(), after.names().claims());
        let unchanged = Condition::equals("version", number(before.version));
        let mut writes = Transaction::default();
        let stored = writes.add(Put::new(user_item(environment, after)?).when(unchanged));
        let added = new.iter().filter(|claim| !old.contains(claim)).cloned().collect();
        let added = add_claims(&mut writes, environment, after, added)?;
        let removed = old.iter().filter(|claim| !new.contains(claim));
        writes.add_all(removed.map(|claim| delete_claim(environment, before.user_id, claim)));
        let Transacted::Refused(refused) = self.0.transact(writes).await? else { return Ok(()) };
        match taken(after, &added, &refused).filter(|_| !refused.has(stored)) {
            Some(taken) => Err(UpdateUserError::Taken(taken)),
            None => Err(UpdateUserError::Conflict),
        }
    }

    /// Deletes a user and its claims, and stores the job that deletes the data of the user. Returns
    /// false if the user has changed. One transaction.
    pub async fn delete(&self, user: &User, deletion: &Deletion, events: Outgoing<'_>) -> Result<bool, StoreError> {
        let environment = deletion.environment_id;
        let unchanged = Condition::equals("version", number(user.version));
        let key = keys::user(environment, user.user_id);
        let mut writes = vec![Delete::of(&key).when(unchanged).into(), Put::new(jobs::item(deletion)?).into()];
        writes.push(mark_deleted(&key)?);
        let claims = user.names().claims();
        writes.extend(claims.iter().map(|claim| delete_claim(environment, user.user_id, claim)));
        Ok(self.0.transact_with_events(writes, events).await?.is_committed())
    }

    /// Stores a user after a change of its status, if its version is unchanged, and the job that
    /// sends the events of its workflows. Returns false if the user has changed. One transaction.
    pub async fn change_status(
        &self,
        before: &User,
        after: &User,
        change: &StatusChange,
        events: Outgoing<'_>,
    ) -> Result<bool, StoreError> {
        let unchanged = Condition::equals("version", number(before.version));
        let user = Put::new(user_item(change.environment_id, after)?).when(unchanged);
        Ok(self
            .0
            .transact_with_events(vec![user.into(), Put::new(jobs::item(change)?).into()], events)
            .await?
            .is_committed())
    }

    /// Stores the job that erases the errors and events of a user. One write.
    pub async fn start_erasure(&self, erasure: &Erasure) -> Result<(), StoreError> {
        self.0.put(Put::new(jobs::item(erasure)?)).await.map(|_| ())
    }
}

/// Returns the check that a user exists and its status has not changed since it was read. So no
/// event of its workflows shows another status than the user has.
pub(super) fn check_status(
    environment: EnvironmentId,
    user: UserId,
    OwnerStatus { status, token_epoch }: OwnerStatus,
) -> Write {
    let unchanged =
        Condition::equals("status", text(status.as_str())).and(Condition::equals("tokenEpoch", number(token_epoch)));
    Write::Check(keys::user(environment, user), unchanged)
}

impl<A: Access> Users<A> {
    /// Returns a page of users, of one status or all, the newest first. Eventually consistent. One
    /// query for each of four partitions; more if a filter excludes most of the items.
    pub async fn list(
        &self,
        environment: EnvironmentId,
        status: Option<UserStatus>,
        request: PageRequest<'_>,
    ) -> Result<Page<User>, StoreError> {
        let partitions = keys::users_of_environment(environment).partitions();
        let newest_first = Range { newest_first: true, ..Range::all(LISTING) };
        let filter = Filter::default().equals("status", status.map(UserStatus::as_str));
        self.0.page(&partitions, &newest_first, &filter, request).await
    }

    /// Returns the user with this id. One read.
    pub async fn get(&self, environment: EnvironmentId, id: UserId) -> Result<Option<User>, StoreError> {
        self.0.get(&keys::user(environment, id)).await
    }

    /// Returns the start of the last erasure of a user's records, if a request from before it can
    /// still be repeated. One read.
    pub async fn erased_at(&self, environment: EnvironmentId, user: UserId) -> Result<Option<Timestamp>, StoreError> {
        let erasure: Option<Erasure> =
            self.0.get(&keys::user_job(JobId { kind: JobKind::Erasure, environment, user })).await?;
        Ok(erasure.map(|erasure| erasure.started_at))
    }

    /// Returns users by id, in no order, without those that do not exist. One `BatchGetItem` per
    /// 100 ids.
    pub async fn get_all(
        &self,
        environment: EnvironmentId,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<Vec<User>, StoreError> {
        let wanted: Vec<_> = ids.into_iter().map(|id| keys::user(environment, id)).collect();
        self.0.get_all(&wanted).await
    }

    /// Returns the user id of a reference. An id is returned without a check. No read for an id,
    /// one for a name.
    pub async fn resolve(&self, environment: EnvironmentId, user: &UserRef) -> Result<Option<UserId>, StoreError> {
        match user {
            UserRef::Id(id) => Ok(Some(*id)),
            UserRef::Name(name) => {
                let claim: Option<Claim> = self.0.get(&keys::name_claim(environment, name)).await?;
                Ok(claim.map(|claim| claim.user_id))
            }
        }
    }

    /// Returns the user of a reference, as far as the caller may see it. A user sees only
    /// themselves, with one read of their own item for any reference, so that the time of the
    /// response tells nothing about others. Otherwise like [`Self::find`].
    pub async fn find_as(
        &self,
        environment: EnvironmentId,
        caller: Option<&CallingUser>,
        user: &UserRef,
    ) -> Result<Option<User>, StoreError> {
        match caller {
            Some(caller) => Ok(self.get(environment, caller.user_id).await?.filter(|own| own.matches(user))),
            None => self.find(environment, user).await,
        }
    }

    /// Returns the user of a reference. One read for an id, two for a name.
    pub async fn find(&self, environment: EnvironmentId, user: &UserRef) -> Result<Option<User>, StoreError> {
        match self.resolve(environment, user).await? {
            // The name may have become that of another user after the first read.
            Some(id) => Ok(self.get(environment, id).await?.filter(|found| found.matches(user))),
            None => Ok(None),
        }
    }
}

/// Adds claims of names to the transaction that stores their user.
fn add_claims(
    writes: &mut Transaction,
    environment: EnvironmentId,
    user: &User,
    claims: Vec<CanonicalName>,
) -> Result<Vec<(CanonicalName, Place)>, StoreError> {
    let add = |name: CanonicalName| {
        let claim = claim_item(environment, user.user_id, &name)?;
        Ok((name, writes.add(Put::if_absent(claim))))
    };
    claims.into_iter().map(add).collect()
}

/// Returns the names of a user whose claims failed, or none if no claim failed.
fn taken(user: &User, claims: &[(CanonicalName, Place)], refused: &Refused) -> Option<TakenNames> {
    let failed = claims.iter().filter(|(_, place)| refused.has(*place));
    let failed: Vec<&CanonicalName> = failed.map(|(name, _)| name).collect();
    (!failed.is_empty()).then(|| TakenNames {
        username: failed.contains(&&user.username.canonical()),
        email: user.email.as_ref().is_some_and(|email| failed.contains(&&email.canonical())),
    })
}
