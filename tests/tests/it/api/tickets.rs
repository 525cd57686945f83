//! Install links and their tickets.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tenon::domain::{ticket::Ticket, timestamp::Timestamp};
use tests::{Api, Environment, Tenon, setting};

async fn environment() -> (Environment, String) {
    let acme = Tenon::deployed().await.environment().await;
    let integration = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }] });
    for id in ["orders", "other"] {
        acme.backend.put(&format!("/integrations/{id}"), integration.clone()).await.is(201);
    }
    let user = acme.create_user("joe@acme.example").await;
    (acme, user)
}

/// Returns the ticket of a new install link.
async fn ticket(acme: &Environment, user: &str) -> String {
    let link = acme.backend.get(&format!("/users/{user}/integrations/orders/install-url")).await.is(200);
    assert_eq!(link.header("cache-control"), "no-store");
    let url = link.text("url");
    let (page, ticket) = url.split_once("#ticket=").unwrap();
    assert_eq!(page, format!("{}/modal", setting("TENON_URL")));
    ticket.to_owned()
}

async fn exchange(ticket: &str) -> tests::Answer {
    Api::anonymous().post("/tickets", json!({ "ticket": ticket })).await
}

#[tokio::test]
async fn ticket_is_exchanged_once_for_a_token_that_installs_one_integration() {
    let (acme, user) = environment().await;
    let ticket = ticket(&acme, &user).await;
    // Of many concurrent requests one succeeds.
    let answers = join_all((0..8).map(|_| exchange(&ticket))).await;
    let (exchanged, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(exchanged.len(), 1);
    others.into_iter().for_each(|other| {
        other.is_problem(410, "gone");
    });
    exchange(&ticket).await.is_problem(410, "gone");
    assert_eq!(exchanged[0].header("cache-control"), "no-store");

    let joe = Api::new(exchanged[0].text("token"));
    let claims = claims(joe.credential());
    assert_eq!(
        (&claims["hosted"], &claims["mode"], &claims["integrations"]),
        (&json!(true), &json!("install"), &json!(["orders"]))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1800);
    let path = format!("/users/{user}/installations");
    joe.put(&format!("{path}/orders"), json!({})).await.is(201);
    joe.put(&format!("{path}/other"), json!({})).await.is_problem(404, "not-found");
    joe.delete(&format!("{path}/orders")).await.is_problem(403, "forbidden");
}

fn claims(token: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn ticket_ends_when_its_user_is_disabled_or_deleted() {
    let (acme, user) = environment().await;
    let first = ticket(&acme, &user).await;
    acme.backend.post(&format!("/users/{user}/disable"), json!({})).await.is(200);
    exchange(&first).await.is_problem(410, "gone");
    let url = format!("/users/{user}/integrations/orders/install-url");
    acme.backend.get(&url).await.is_problem(403, "user-disabled");
    acme.backend.post(&format!("/users/{user}/enable"), json!({})).await.is(200);
    exchange(&first).await.is_problem(410, "gone");
    let second = ticket(&acme, &user).await;
    acme.backend.delete(&format!("/users/{user}")).await.is(200);
    exchange(&second).await.is_problem(410, "gone");
    acme.backend.get(&url).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn ticket_expires_after_24_hours() {
    let (acme, user) = environment().await;
    let before = Timestamp::now();
    let link = acme.backend.get(&format!("/users/{user}/integrations/orders/install-url")).await.is(200);
    let expires_at: Timestamp = link.text("expiresAt").parse().unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert!((before + day..=Timestamp::now() + day).contains(&expires_at), "{expires_at}");
    // The item is deleted by its time to live, hours later.
    let ticket = link.text("url").split_once("#ticket=").unwrap().1.to_owned();
    let key = AttributeValue::S(format!("ticket#{}", ticket.parse::<Ticket>().unwrap().hash()));
    let update = Client::new(&acme.tenon.aws).update_item().table_name(setting("TENON_STACK_DirectoryTable"));
    let update = update.key("pk", key).key("sk", AttributeValue::S("ticket".into()));
    let update =
        update.update_expression("SET validUntil = :past").condition_expression("attribute_exists(validUntil)");
    update.expression_attribute_values(":past", AttributeValue::S(before.to_string())).send().await.unwrap();
    exchange(&ticket).await.is_problem(410, "gone");
}

#[tokio::test]
async fn malformed_and_unknown_tickets_are_told_apart() {
    for malformed in ["", "abc", &"A".repeat(42), &"+".repeat(43)] {
        exchange(malformed).await.is_problem(422, "validation").names(&["/ticket"]);
    }
    exchange(tenon::domain::ticket::Ticket::generate().expose()).await.is_problem(410, "gone");
    Api::anonymous().post("/tickets", json!({})).await.is_problem(422, "validation").names(&["/ticket"]);
}

#[tokio::test]
async fn link_leads_to_an_enabled_integration_only() {
    let (acme, user) = environment().await;
    let url = |id: &str| format!("/users/{user}/integrations/{id}/install-url");
    acme.backend.get(&url("absent")).await.is_problem(404, "not-found");
    let ticket = ticket(&acme, &user).await;
    let disabled = json!({ "name": "Orders", "workflows": [{ "key": "a", "name": "Orders" }], "enabled": false });
    acme.backend.put("/integrations/orders", disabled).await.is(200);
    acme.backend.get(&url("orders")).await.is_problem(409, "integration-disabled");
    exchange(&ticket).await.is_problem(410, "gone");
}
