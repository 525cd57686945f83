//! Errors of workflows.

use serde_json::{Value, json};
use tests::{Bus, Tenon, example_error};

#[tokio::test]
async fn duplicate_error_id_changes_nothing() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    let bus = Bus::new().await;
    acme.create_bus_destination(&bus.name).await;
    let with_id = |id: &str, text: &str| {
        let mut error = example_error(text);
        error["_id"] = json!(id);
        error
    };
    let (first, second) = ("6155ac246093840013297377", "6155ac246093840013297378");

    acme.engine.post(&path, with_id(first, "first")).await.is(202);
    bus.wait_for_errors(1).await;
    // One known error and one new error, which is sent twice.
    let batch = json!({ "errors": [with_id(first, "changed"), with_id(second, "second"), with_id(second, "twice")] });
    let answer = acme.engine.post(&path, batch).await.is(202);

    assert_eq!(answer.body["ids"], json!([first, second, second]));
    assert_eq!(acme.error_texts(&workflow).await, ["second", "first"]);
    let arrived = bus.wait_for_errors(1).await;
    assert_eq!(arrived[0]["detail"]["error"], "second");
    assert_eq!(arrived.len(), 1);
}

#[tokio::test]
async fn error_ids_are_in_request_order_and_contain_the_time() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    let at = |text: &str| {
        let mut error = example_error(text);
        error["createdAt"] = json!(text);
        error
    };
    let times = ["2026-11-20T10:00:00.500Z", "2026-11-18T10:00:00Z", "2026-11-19T12:00:00+02:00"];
    let answer = acme.engine.post(&path, json!({ "errors": times.map(at) })).await.is(202);

    let listed = acme.backend.get(&path).await.is(200).body["errors"].clone();
    let member =
        |name: &str| listed.as_array().unwrap().iter().map(|error| error[name].clone()).collect::<Vec<Value>>();
    let ids = &answer.body["ids"];
    assert_eq!(member("_id"), [ids[0].clone(), ids[2].clone(), ids[1].clone()]);
    let utc = ["2026-11-20T10:00:00.500Z", "2026-11-19T10:00:00.000Z", "2026-11-18T10:00:00.000Z"];
    assert_eq!(member("createdAt"), utc.map(Value::from));
}

#[tokio::test]
async fn invalid_fields_of_every_error_in_a_batch_are_named() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    let mut late = example_error("late");
    late["createdAt"] = json!("2100-01-01T00:00:00Z");
    let mut apart = example_error("apart");
    (apart["_id"], apart["createdAt"]) = (json!("6155ac246093840013297377"), json!("2021-09-30T12:23:01Z"));
    let batch = json!({ "errors": [example_error("fine"), late, { "error": 5 }, apart, 7] });

    let refused = acme.engine.post(&path, batch).await.is_problem(422, "validation");

    refused.names(&[
        "/errors/1/createdAt",
        "/errors/2/executionId",
        "/errors/2/blockId",
        "/errors/2/blockType",
        "/errors/2/error",
        "/errors/3/createdAt",
        "/errors/4",
    ]);
    assert!(acme.error_texts(&workflow).await.is_empty(), "a rejected batch records nothing");
    let many = vec![example_error("x"); 101];
    acme.engine.post(&path, json!({ "errors": many })).await.is_problem(422, "validation").names(&["/errors"]);
    acme.engine.post(&path, json!({ "errors": [] })).await.is_problem(422, "validation").names(&["/errors"]);
}

#[tokio::test]
async fn pages_contain_every_error_exactly_once() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    for batch in 0..2 {
        let errors: Vec<_> = (0..60).map(|n| example_error(&format!("{}", batch * 60 + n))).collect();
        acme.engine.post(&path, json!({ "errors": errors })).await.is(202);
    }

    let (mut seen, mut sizes, mut query) = (Vec::new(), Vec::new(), "limit=50".to_owned());
    loop {
        let page = acme.backend.get(&format!("{path}?{query}")).await.is(200).body;
        let errors = page["errors"].as_array().unwrap();
        sizes.push(errors.len());
        seen.extend(errors.iter().map(|error| error["_id"].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(cursor) => query = format!("limit=50&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first and without duplicates");

    let first = acme.backend.get(&format!("{path}?limit=1")).await.is(200).text("cursor");
    let other_filter = acme.backend.get(&format!("{path}?blockType=x&cursor={first}")).await;
    other_filter.is_problem(400, "invalid-cursor");
    acme.backend.get(&format!("{path}?cursor=nonsense")).await.is_problem(400, "invalid-cursor");
    let invalid = acme.backend.get(&format!("{path}?limit=0&since=yesterday")).await;
    invalid.is_problem(422, "validation").names(&["/since", "/limit"]);
}

#[tokio::test]
async fn errors_are_filtered_by_time_execution_and_block_type() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    let error = |text: &str, at: &str, execution: &str, block_type: &str| json!({ "error": text, "createdAt": at, "executionId": execution, "blockId": "b", "blockType": block_type });
    let errors = json!({ "errors": [
        error("a", "2026-11-20T10:00:00Z", "e1", "shopify"),
        error("b", "2026-11-20T11:00:00Z", "e2", "shopify"),
        error("c", "2026-11-20T12:00:00Z", "e1", "slack"),
    ] });
    acme.engine.post(&path, errors).await.is(202);
    let texts = async |query: &str| {
        let page = acme.backend.get(&format!("{path}?{query}")).await.is(200).body;
        page["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["error"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert_eq!(texts("executionId=e1").await, "ca");
    assert_eq!(texts("blockType=shopify").await, "ba");
    assert_eq!(texts("blockType=shopify&executionId=e1").await, "a");
    assert_eq!(texts("since=2026-11-20T11:00:00Z").await, "cb");
    assert_eq!(texts("until=2026-11-20T11:00:00Z").await, "a");
    assert_eq!(texts("userId=joe@acme.example").await, "cba");
    acme.backend.get(&format!("{path}?userId=jim@acme.example")).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn pages_of_64_kib_errors_stay_within_the_response_limit() {
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let path = format!("/workflows/{workflow}/errors");
    for _ in 0..10 {
        // A request has at most 1 MiB. Texts over 64 KiB are truncated and never rejected.
        let errors = vec![example_error(&"é".repeat(40_000)); 10];
        acme.engine.post(&path, json!({ "errors": errors })).await.is(202);
    }
    // The list of the environment reads each text separately.
    for path in [path.as_str(), "/logs"] {
        let (mut count, mut query) = (0, "limit=100".to_owned());
        loop {
            let page = acme.backend.get(&format!("{path}?{query}")).await.is(200).body;
            assert!(page.to_string().len() <= 4_100_000);
            for error in page["errors"].as_array().unwrap() {
                let text = error["error"].as_str().unwrap();
                assert!(text.len() <= 64 * 1024 && text.ends_with("[truncated: 80000 bytes in total]"));
                count += 1;
            }
            match page["cursor"].as_str() {
                Some(cursor) => query = format!("limit=100&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(count, 100);
    }
}

#[tokio::test]
async fn unknown_workflow_is_not_found() {
    let acme = Tenon::deployed().await.environment().await;
    for workflow in ["0".repeat(24), "nonsense".to_owned()] {
        let path = format!("/workflows/{workflow}/errors");
        acme.engine.post(&path, example_error("x")).await.is_problem(404, "not-found");
        acme.backend.get(&path).await.is_problem(404, "not-found");
    }
}
