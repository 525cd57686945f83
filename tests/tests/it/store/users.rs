//! Users and their unique names against a model in memory.

use rand::Rng;
use tenon::{
    domain::{
        id::EnvironmentId,
        names::{CanonicalName, Names, UserRef},
        request_seed::RequestSeed,
        user::{Metadata, NewUser, User},
    },
    store::{
        PageRequest, Table,
        users::{TakenNames, UpdateUserError, Users},
    },
};
use tests::{
    Random, aws,
    events::{deletion_of, outbox},
    keys, setting,
};

async fn table(name: &str) -> Table {
    Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting(name))
}

/// In-memory model: a list of users.
#[derive(Default)]
struct Model {
    users: Vec<User>,
}

impl Model {
    fn holder(&self, name: &CanonicalName) -> Option<&User> {
        self.users.iter().find(|user| claims(user).contains(name))
    }
}

fn claims(user: &User) -> Vec<CanonicalName> {
    Names { username: user.username.clone(), email: user.email.clone() }.claims()
}

/// Returns random names of six people, with collisions in case, as username and as email address.
fn random_names() -> Names {
    let person = Random.random_range(0..6);
    let address = if Random.random() { format!("p{person}@acme.example") } else { format!("P{person}@ACME.example") };
    let name = if Random.random() { format!("p{person}") } else { format!("P{}", Random.random_range(0..6)) };
    let (username, email) = match Random.random_range(0..4) {
        0 => (Some(name), Some(address)),
        1 => (Some(address), None),
        2 => (Some(name), None),
        _ => (None, Some(address)),
    };
    let suffix = RequestSeed::new().suffix(0);
    Names::new(username.map(|name| name.parse().unwrap()), email.map(|email| email.parse().unwrap()), &suffix).unwrap()
}

#[tokio::test]
async fn users_and_names_match_an_in_memory_model() {
    let users = Users(table("DIRECTORY_TABLE").await);
    let outbox = outbox(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    for _ in 0..8 {
        let (environment, mut model) = (EnvironmentId::new(), Model::default());
        for _ in 0..40 {
            let some = (!model.users.is_empty()).then(|| Random.random_range(0..model.users.len()));
            match (Random.random_range(0..5), some) {
                (0, Some(index)) => {
                    let gone = model.users.remove(index);
                    let deletion = deletion_of(environment, &gone);
                    assert!(users.delete(&gone, &deletion, outbox.prepare(&[]).unwrap()).await.unwrap());
                    // A deleted user cannot be deleted again.
                    assert!(!users.delete(&gone, &deletion, outbox.prepare(&[]).unwrap()).await.unwrap());
                }
                (1 | 2, Some(index)) => {
                    let before = model.users[index].clone();
                    let names = random_names();
                    let after = User {
                        username: names.username,
                        email: names.email,
                        version: before.version + 1,
                        ..before.clone()
                    };
                    let taken = |name: &CanonicalName| {
                        model.holder(name).is_some_and(|holder| holder.user_id != before.user_id)
                    };
                    let (username, email) = (
                        taken(&after.username.canonical()),
                        after.email.as_ref().is_some_and(|email| taken(&email.canonical())),
                    );
                    match users.update(environment, &before, &after).await {
                        Ok(()) => {
                            assert!(!username && !email);
                            // The previous version no longer exists.
                            let again = users.update(environment, &before, &after).await;
                            assert!(matches!(again, Err(UpdateUserError::Conflict)));
                            model.users[index] = after;
                        }
                        Err(UpdateUserError::Taken(TakenNames { username: u, email: e })) => {
                            assert_eq!((u, e), (username, email), "{after:?}");
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                (3, _) => {
                    // A batch of users whose names do not collide with each other.
                    let mut batch: Vec<NewUser> = Vec::new();
                    for _ in 0..4 {
                        let names = random_names();
                        let clashes = batch
                            .iter()
                            .any(|new| new.names.claims().iter().any(|claim| names.claims().contains(claim)));
                        if !clashes {
                            batch.push(NewUser { names, full_name: None, metadata: Metadata::default() });
                        }
                    }
                    let expected: Vec<bool> = batch
                        .iter()
                        .map(|new| new.names.claims().iter().all(|claim| model.holder(claim).is_none()))
                        .collect();
                    let origin = RequestSeed::new();
                    let batch: Vec<User> =
                        batch.into_iter().enumerate().map(|(index, new)| new.create(&origin, index)).collect();
                    // A repetition changes nothing, since the users are recognized by their ids.
                    for _ in 0..2 {
                        let created = users.create_all(environment, &batch, &origin).await;
                        assert_eq!(created.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
                    }
                    let created = batch.into_iter().zip(expected);
                    model.users.extend(created.filter(|(_, created)| *created).map(|(user, _)| user));
                }
                _ => {
                    let names = random_names();
                    let free = names.claims().iter().all(|claim| model.holder(claim).is_none());
                    let new = NewUser { names, full_name: None, metadata: Metadata::default() };
                    let user = new.create(&RequestSeed::new(), 0);
                    for _ in 0..2 {
                        assert_eq!(users.create(environment, &user, &RequestSeed::new()).await.is_ok(), free);
                    }
                    model.users.extend(free.then_some(user));
                }
            }
        }
        for user in &model.users {
            assert_eq!(users.get(environment, user.user_id).await.unwrap().as_ref(), Some(user));
        }
        for person in 0..6 {
            for text in [format!("p{person}"), format!("p{person}@acme.example")] {
                let name: UserRef = text.parse().unwrap();
                let UserRef::Name(canonical) = &name else { panic!("{text}") };
                assert_eq!(users.find(environment, &name).await.unwrap().as_ref(), model.holder(canonical), "{text}");
            }
        }
        let page = users.list(environment, None, PageRequest::first(1000)).await.unwrap();
        model.users.sort_by_key(|user| std::cmp::Reverse(user.user_id));
        assert_eq!(page.items, model.users);
    }
}

#[tokio::test]
async fn name_that_has_moved_to_another_user_leads_to_nobody() {
    let table = table("DIRECTORY_TABLE").await;
    let users = Users(table);
    let environment = EnvironmentId::new();
    let create = async |name: &str| {
        let (seed, name) = (RequestSeed::new(), name.parse().unwrap());
        let names = Names::new(Some(name), None, "").unwrap();
        let user = NewUser { names, full_name: None, metadata: Metadata::default() }.create(&seed, 0);
        users.create(environment, &user, &seed).await.unwrap();
        user
    };
    let (anna, bob) = (create("anna").await, create("bob").await);
    // A request has read this claim before the name moved.
    let client = aws_sdk_dynamodb::Client::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await);
    client
        .update_item()
        .table_name(setting("DIRECTORY_TABLE"))
        .key("pk", keys::attribute(format!("env#{environment}#name#bob")))
        .key("sk", keys::attribute("claim"))
        .update_expression("SET userId = :anna")
        .condition_expression("userId = :bob")
        .expression_attribute_values(":anna", keys::attribute(anna.user_id.to_string()))
        .expression_attribute_values(":bob", keys::attribute(bob.user_id.to_string()))
        .send()
        .await
        .unwrap();
    let find = async |name: &str| users.find(environment, &name.parse().unwrap()).await.unwrap();
    assert_eq!(find("bob").await, None);
    assert_eq!(find("anna").await, Some(anna));
}
