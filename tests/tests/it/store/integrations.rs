//! The limit of the catalogue.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use rand::Rng;
use tenon::{
    domain::{
        id::EnvironmentId,
        integration::{Content, Integration, MAX_INTEGRATIONS, WorkflowTemplate},
        timestamp::Timestamp,
    },
    store::{
        Table,
        integrations::{CreateIntegrationError, Integrations},
    },
};
use tests::{Random, aws, setting};

fn integration(id: &str) -> Integration {
    let workflow =
        WorkflowTemplate { key: "orders".parse().unwrap(), name: "Orders".parse().unwrap(), description: None };
    let content = Content {
        name: "Orders".parse().unwrap(),
        description: None,
        icon: None,
        credential_types: Vec::new(),
        settings: Vec::new(),
        workflows: vec![workflow],
        hints: Vec::new(),
        enabled: true,
    };
    let now = Timestamp::now();
    Integration { integration_id: id.parse().unwrap(), content, version: 1, created_at: now, updated_at: now }
}

#[tokio::test]
async fn catalogue_matches_a_model_and_never_exceeds_its_limit() {
    let integrations = Integrations(Table::new(&aws(&setting("AWS_ACCESS_KEY_ID")).await, setting("DIRECTORY_TABLE")));
    let environment = EnvironmentId::new();
    // Eight writers create twice as many as fit.
    let (next, created) = (AtomicUsize::new(0), AtomicUsize::new(0));
    join_all((0..8).map(async |_| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= MAX_INTEGRATIONS + 20 {
                break;
            }
            match integrations.create(environment, &integration(&format!("i{number}"))).await {
                Ok(()) => {
                    created.fetch_add(1, Ordering::Relaxed);
                }
                Err(CreateIntegrationError::TooMany) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }))
    .await;
    let all = integrations.all(environment).await.unwrap();
    assert_eq!((created.into_inner(), all.len()), (MAX_INTEGRATIONS, MAX_INTEGRATIONS));

    let mut model: BTreeMap<String, Integration> =
        all.into_iter().map(|one| (one.integration_id.to_string(), one)).collect();
    for _ in 0..60 {
        let id = format!("i{}", Random.random_range(0..10));
        let key = id.parse().unwrap();
        match (Random.random_range(0..3), model.get(&id).cloned()) {
            (0, found) => {
                assert_eq!(integrations.delete(environment, &key).await.unwrap(), found.is_some());
                if let Some(before) = found {
                    assert!(!integrations.replace(environment, &before, &before).await.unwrap(), "it is deleted");
                }
                model.remove(&id);
            }
            (1, Some(before)) => {
                let after = Integration { version: before.version + 1, ..before.clone() };
                assert!(integrations.replace(environment, &before, &after).await.unwrap());
                assert!(integrations.replace(environment, &before, &after).await.unwrap(), "the SDK repeats a write");
                let mut other = after.clone();
                other.content.enabled = !after.content.enabled;
                assert!(!integrations.replace(environment, &before, &other).await.unwrap(), "it has changed");
                model.insert(id, after);
            }
            (_, found) => {
                let new = integration(&id);
                let result = integrations.create(environment, &new).await;
                match found {
                    Some(_) => {
                        assert!(matches!(result, Err(CreateIntegrationError::Exists | CreateIntegrationError::TooMany)))
                    }
                    None => {
                        result.unwrap();
                        model.insert(id, new);
                    }
                }
            }
        }
    }
    let mut found = integrations.all(environment).await.unwrap();
    found.sort_by_key(|one| one.integration_id.to_string());
    assert_eq!(found, model.into_values().collect::<Vec<_>>());
    assert!(integrations.all(EnvironmentId::new()).await.unwrap().is_empty());
}
