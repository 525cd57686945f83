//! Events as an engine sees them: complete, idempotent and in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use functions::workers::user_jobs;
use futures_util::future::join_all;
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};
use tenon::{
    domain::{id::EnvironmentId, timestamp::Timestamp},
    start::{FromAws, connect},
    store::{
        StoreError, Table,
        erasures::{Erasure, Erasures},
        user_jobs::{UserJob, UserJobs},
        users::Users,
    },
};
use tests::{
    Random, aws, setting,
    table_items::{load, owned_items},
};

use super::process::{Process, installation};
use crate::endpoints::{Request, request, text};

/// Engine that knows only events. Of each object it keeps the data with the highest revision.
#[derive(Default)]
struct Engine {
    objects: BTreeMap<(String, String), (u64, Option<Value>)>,
}

impl Engine {
    fn receive(&mut self, event: &Value) {
        let (resource, change) = event["type"].as_str().unwrap().split_once('.').unwrap();
        let data = &event["data"];
        let id = match resource {
            "workflow" => text(&data["workflowId"]),
            "credential" => text(&data["credentialId"]),
            "installation" => format!("{} {}", event["userId"], data["integrationId"]),
            _ => text(&event["userId"]),
        };
        let revision = data["revision"].as_u64().unwrap();
        let known = self.objects.entry((resource.to_owned(), id)).or_default();
        if known.0 < revision || (known.0 == revision && change != "deleted") {
            *known = (revision, (change != "deleted").then(|| data.clone()));
        }
    }

    /// Returns the objects of a resource (see [`without_revision`]).
    fn objects(&self, resource: &str) -> BTreeSet<String> {
        let of_resource = self.objects.iter().filter(|((one, _), _)| one == resource);
        let present = of_resource.filter_map(|(_, (_, data))| data.as_ref());
        present.map(|data| without_revision(data.clone())).collect()
    }
}

/// Returns the text of an object without its revision, which also changes with the status of its
/// user.
fn without_revision(mut object: Value) -> String {
    object.as_object_mut().unwrap().remove("revision");
    object.to_string()
}

/// Process with background jobs.
struct Backend {
    process: Process,
    worker: user_jobs::State,
    jobs: UserJobs,
}

impl Backend {
    async fn start() -> Self {
        let process = Process::start().await;
        let worker = connect(&process.config, user_jobs::State::from_aws).await.unwrap();
        let jobs = connect(&process.config, UserJobs::from_aws).await.unwrap();
        Self { process, worker, jobs }
    }

    fn environment(&self) -> EnvironmentId {
        self.process.world.environment.parse().unwrap()
    }

    async fn open_jobs(&self) -> Vec<UserJob> {
        let open = self.jobs.open().await.unwrap();
        let own = |job: &UserJob| match job {
            UserJob::Deletion(job) => job.environment_id == self.environment(),
            UserJob::StatusChange(job) => job.environment_id == self.environment(),
        };
        open.into_iter().filter(own).collect()
    }

    /// Runs the jobs to their ends, with crashes at random AWS calls.
    async fn run_jobs(&self) {
        loop {
            let open = self.open_jobs().await;
            let Some(job) = open.choose(&mut Random) else { return };
            let running = self.worker.run(job);
            match self.process.crash.at(Random.random_range(0..20), Random.random(), running).await {
                // A deletion waits for the events of a change of the user's status.
                Some(Err(StoreError::Busy(_))) => assert!(open.len() > 1, "{job:?}"),
                Some(ran) => ran.unwrap(),
                None => {}
            }
        }
    }

    async fn events(&self, filters: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("limit=100&sortOrder=asc{filters}{cursor}");
            let (status, page) = self.process.call("events_list", request("GET /events").query(&query)).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["data"].as_array().unwrap().clone());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Makes a request, perhaps with a crash, and asserts that it takes effect or is answered with
    /// a conflict.
    async fn call(&self, function: &str, request: Request) -> Value {
        let (status, body) = self.process.call_after_crash(function, request).await;
        assert!([200, 201, 404, 409].contains(&status), "{function}: {status} {body}");
        body
    }
}

#[tokio::test]
async fn engine_that_knows_only_events_has_the_state_of_the_store() {
    let backend = Backend::start().await;
    let process = &backend.process;
    let users = [process.create_user("joe").await, process.create_user("jim").await];
    for id in ["a", "b"] {
        process.put_integration(id, &["k0", "k1"], true).await;
    }
    for step in 0..160 {
        let user = users.choose(&mut Random).unwrap();
        let id = *["a", "b"].choose(&mut Random).unwrap();
        let credentials: Vec<String> = process.credentials(user).await.into_iter().collect();
        let workflows = process.workflows(user).await;
        let of_workflow = |route| {
            let workflow = workflows.choose(&mut Random)?;
            Some(request(route).with("workflowId", workflow["workflowId"].as_str().unwrap()))
        };
        let of_credential = |route| {
            let credential = credentials.choose(&mut Random)?;
            Some(request(route).with("user", user).with("credentialId", credential))
        };
        match Random.random_range(0..13) {
            0 => {
                let body = json!({ "userId": user, "name": format!("Own {step}"), "settings": { "n": step } });
                backend.call("workflows_create", request("POST /workflows").body(body)).await;
            }
            1 | 2 => {
                let Some(patch) = of_workflow("PATCH /workflows/{workflowId}") else { continue };
                let mut body = json!({ "name": format!("Renamed {step}") });
                if Random.random() {
                    body["active"] = json!(Random.random::<bool>());
                }
                backend.call("workflows_update", patch.body(body)).await;
            }
            3 => {
                let Some(workflow) = workflows.choose(&mut Random) else { continue };
                let route = if Random.random() { "PUT /workflows/activate" } else { "PUT /workflows/deactivate" };
                let body = json!({ "userId": user, "workflowId": workflow["workflowId"] });
                backend.call("workflows_activate", request(route).body(body)).await;
            }
            4 => {
                let all = request("PUT /users/{user}/deactivate-workflows").with("user", user);
                backend.call("workflows_deactivate_all", all).await;
            }
            5 => {
                let Some(delete) = of_workflow("DELETE /workflows/{workflowId}") else { continue };
                backend.call("workflows_delete", delete).await;
            }
            6 => {
                let body = json!({ "type": "shop", "name": "Shop", "data": { "token": "shpat_secret" } });
                let create = request("POST /users/{user}/credentials").with("user", user).body(body);
                backend.call("credentials_create", create).await;
            }
            7 => {
                let route = "POST /users/{user}/credentials/{credentialId}/status";
                let Some(set) = of_credential(route) else { continue };
                let status = if Random.random() { "invalid" } else { "valid" };
                backend.call("credentials_status", set.body(json!({ "status": status })).by_engine()).await;
            }
            8 => {
                let Some(put) = of_credential("PUT /users/{user}/credentials/{credentialId}") else { continue };
                backend.call("credentials_replace", put.body(json!({ "data": { "token": "shpat_secret" } }))).await;
            }
            9 => {
                let Some(delete) = of_credential("DELETE /users/{user}/credentials/{credentialId}") else { continue };
                backend.call("credentials_delete", delete).await;
            }
            10 => {
                let delete = installation("DELETE /users/{user}/installations/{integrationId}", user, id);
                backend.call("installations_delete", delete).await;
            }
            11 => {
                let route = if Random.random() { "POST /users/{user}/disable" } else { "POST /users/{user}/enable" };
                backend.call("users_status", request(route).with("user", user)).await;
                if Random.random() {
                    backend.run_jobs().await;
                }
            }
            _ => {
                let keys: Vec<&str> = ["k0", "k1"].into_iter().filter(|_| Random.random()).collect();
                let body = json!({ "credentials": { "shop": { "data": { "token": "shpat_secret" } } },
                    "settings": { "size": Random.random_range(0..3) }, "workflows": keys });
                let put = installation("PUT /users/{user}/installations/{integrationId}", user, id);
                backend.call("installations_put", put.body(body)).await;
            }
        }
    }
    backend.run_jobs().await;

    let events = backend.events("").await;
    let ids: BTreeSet<String> = events.iter().map(|event| text(&event["_id"])).collect();
    assert_eq!(ids.len(), events.len());
    assert!(!events.iter().any(|event| event.to_string().contains("shpat_")), "nothing secret");
    // Some arrive twice, and none in order.
    let mut arriving: Vec<&Value> = events.iter().chain(events.iter().filter(|_| Random.random())).collect();
    arriving.shuffle(&mut Random);
    let mut engine = Engine::default();
    arriving.into_iter().for_each(|event| engine.receive(event));

    let (mut workflows, mut credentials) = (BTreeSet::new(), BTreeSet::new());
    for user in &users {
        workflows.extend(process.workflows(user).await.into_iter().map(without_revision));
        let list = request("GET /users/{user}/credentials").with("user", user).query("limit=100");
        credentials.extend(process.list("credentials_list", list).await.into_iter().map(without_revision));
    }
    assert_eq!(engine.objects("workflow"), workflows);
    assert_eq!(engine.objects("credential"), credentials);
    // What an installation shows of its workflows and credentials has events of its own.
    let own = |shown: &str| {
        let mut shown: Value = serde_json::from_str(shown).unwrap();
        for part in ["status", "attention", "workflows"] {
            shown.as_object_mut().unwrap().remove(part);
        }
        shown.to_string()
    };
    let installations = process.list("installations_list_all", request("GET /installations").by_engine()).await;
    let installations: BTreeSet<String> = installations.into_iter().map(|one| own(&without_revision(one))).collect();
    assert_eq!(engine.objects("installation").iter().map(|one| own(one)).collect::<BTreeSet<_>>(), installations);
}

#[tokio::test]
async fn events_of_concurrent_changes_of_a_user_and_its_workflows_agree_with_the_store() {
    let backend = Backend::start().await;
    let process = &backend.process;
    let user = process.create_user("joe").await;
    for name in ["one", "two", "three"] {
        let body = json!({ "userId": user, "name": name });
        assert_eq!(process.call("workflows_create", request("POST /workflows").body(body)).await.0, 201);
    }
    for round in 0..25 {
        let later = || tokio::time::sleep(std::time::Duration::from_millis(Random.random_range(0..40)));
        let switches = (0..5).map(async |_| {
            later().await;
            let route = if Random.random() { "PUT /workflows/activate" } else { "PUT /workflows/deactivate" };
            let name = ["one", "two", "three"].choose(&mut Random).unwrap();
            let body = json!({ "userId": user, "workflowName": name });
            let (status, body) = process.call("workflows_activate", request(route).body(body)).await;
            assert!([200, 409].contains(&status), "{body}");
        });
        let statuses = ["POST /users/{user}/disable", "POST /users/{user}/enable"].map(async |route| {
            later().await;
            let (status, body) = process.call("users_status", request(route).with("user", &user)).await;
            assert!([200, 409].contains(&status), "{body}");
            for job in backend.open_jobs().await {
                backend.worker.run(&job).await.unwrap();
            }
        });
        tokio::join!(join_all(switches), join_all(statuses));
        for job in backend.open_jobs().await {
            backend.worker.run(&job).await.unwrap();
        }

        let mut engine = Engine::default();
        backend.events("").await.iter().for_each(|event| engine.receive(event));
        let workflows: BTreeSet<String> = process.workflows(&user).await.into_iter().map(without_revision).collect();
        assert_eq!(engine.objects("workflow"), workflows, "round {round}");
    }
}

#[tokio::test]
async fn complete_change_of_a_status_does_not_restore_events_that_were_erased_since() {
    let backend = Backend::start().await;
    let process = &backend.process;
    let user = process.create_user("joe").await;
    let body = json!({ "userId": user, "name": "Orders" });
    assert_eq!(process.call("workflows_create", request("POST /workflows").body(body)).await.0, 201);
    let disable = request("POST /users/{user}/disable").with("user", &user);
    assert_eq!(process.call("users_status", disable).await.0, 200);
    // Another run has read the job before it completes.
    let [job] = &backend.open_jobs().await[..] else { panic!("one job") };
    backend.run_jobs().await;
    let of_user = format!("&userId={user}");
    assert!(backend.events(&of_user).await.iter().any(|event| event["type"] == "workflow.deactivated"));

    let [directory, errors] =
        ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&process.config, setting(name)));
    let (environment_id, user_id) = (backend.environment(), user.parse().unwrap());
    let erasure = Erasure { environment_id, user_id, started_at: Timestamp::now() };
    Users(directory.clone()).start_erasure(&erasure).await.unwrap();
    let erasures = Erasures { directory, errors };
    while !erasures.run(&erasure, erasure.started_at + Duration::from_secs(60)).await.unwrap() {}
    assert_eq!(backend.events(&of_user).await, Vec::<Value>::new());
    backend.worker.run(job).await.unwrap();
    assert_eq!(backend.events(&of_user).await, Vec::<Value>::new());
}

#[tokio::test]
async fn events_of_the_deletion_of_a_user_are_the_last_of_what_it_owned() {
    let backend = Backend::start().await;
    let process = &backend.process;
    for round in 0..15 {
        let user = process.create_user(&format!("joe-{round}")).await;
        let body = json!({ "type": "shop", "name": "Shop", "data": {} });
        let create = request("POST /users/{user}/credentials").with("user", &user).body(body);
        let credential = text(&process.call("credentials_create", create).await.1["credentialId"]);
        let body = json!({ "userId": user, "name": "Own" });
        let workflow = process.call("workflows_create", request("POST /workflows").body(body)).await.1;
        let workflow = text(&workflow["workflowId"]);
        let later = || tokio::time::sleep(std::time::Duration::from_millis(Random.random_range(0..40)));
        let of_credential = |route| request(route).with("user", &user).with("credentialId", &credential);
        let changes = (0..12).map(async |n| {
            later().await;
            let (function, request) = match n % 4 {
                0 => {
                    let set = of_credential("POST /users/{user}/credentials/{credentialId}/status");
                    let reason = format!("reason {n}");
                    ("credentials_status", set.body(json!({ "status": "invalid", "reason": reason })).by_engine())
                }
                1 => {
                    let put = of_credential("PUT /users/{user}/credentials/{credentialId}");
                    ("credentials_replace", put.body(json!({ "data": {} })))
                }
                2 => {
                    let patch = request("PATCH /workflows/{workflowId}").with("workflowId", &workflow);
                    ("workflows_update", patch.body(json!({ "settings": { "n": n } })))
                }
                _ => ("workflows_delete", request("DELETE /workflows/{workflowId}").with("workflowId", &workflow)),
            };
            let (status, body) = process.call(function, request).await;
            assert!([200, 404, 409].contains(&status), "{body}");
        });
        let deletion = async {
            later().await;
            let delete = request("DELETE /users/{user}").with("user", &user);
            assert_eq!(process.call("users_delete", delete).await.0, 200);
            for job in backend.open_jobs().await {
                backend.worker.run(&job).await.unwrap();
            }
        };
        tokio::join!(join_all(changes), deletion);

        let events = backend.events(&format!("&userId={user}")).await;
        let mut engine = Engine::default();
        events.iter().for_each(|event| engine.receive(event));
        for resource in ["workflow", "credential"] {
            assert_eq!(engine.objects(resource), BTreeSet::new(), "{events:?}");
            let deleted = events.iter().filter(|event| event["type"] == format!("{resource}.deleted"));
            assert_eq!(deleted.count(), 1, "{resource}");
        }
    }
}

#[tokio::test]
async fn no_change_has_no_event() {
    let backend = Backend::start().await;
    let process = &backend.process;
    let user = process.create_user("joe").await;
    process.put_integration("a", &["k0"], true).await;
    let body = json!({ "credentials": { "shop": { "data": {} } }, "settings": { "size": 1 } });
    let put = || installation("PUT /users/{user}/installations/{integrationId}", &user, "a");
    let (_, installed) = process.call("installations_put", put().body(body)).await;
    let workflow = text(&installed["workflows"][0]["workflowId"]);
    let disable = |route| request(route).with("user", &user);
    process.call("users_status", disable("POST /users/{user}/disable")).await;
    backend.run_jobs().await;
    let count = backend.events("").await.len();

    process.call("users_status", disable("POST /users/{user}/disable")).await;
    process.call("installations_put", put().body(json!({ "settings": { "size": 1 } }))).await;
    let update = request("PATCH /workflows/{workflowId}").with("workflowId", &workflow);
    process.call("workflows_update", update.body(json!({ "active": true }))).await;
    let body = json!({ "userId": user, "workflowId": workflow });
    process.call("workflows_activate", request("PUT /workflows/activate").body(body)).await;
    let credential = installed["credentialIds"]["shop"].as_str().unwrap();
    let set = request("POST /users/{user}/credentials/{credentialId}/status").with("user", &user);
    let set = set.with("credentialId", credential).body(json!({ "status": "valid" })).by_engine();
    process.call("credentials_status", set).await;
    backend.run_jobs().await;
    assert_eq!(backend.events("").await.len(), count);
}

#[tokio::test]
async fn deletion_of_a_user_completes_after_the_events_of_its_former_changes() {
    let backend = Backend::start().await;
    let process = &backend.process;
    let user = process.create_user("joe").await;
    let body = json!({ "userId": user, "name": "Own" });
    process.call("workflows_create", request("POST /workflows").body(body)).await;
    process.call("users_status", request("POST /users/{user}/disable").with("user", &user)).await;
    process.call("users_delete", request("DELETE /users/{user}").with("user", &user)).await;
    let open = backend.open_jobs().await;
    let (deletions, changes): (Vec<_>, Vec<_>) = open.iter().partition(|job| matches!(job, UserJob::Deletion(_)));
    let (&[deletion], &[change]) = (&deletions[..], &changes[..]) else { panic!("{open:?}") };

    assert!(matches!(backend.worker.run(deletion).await, Err(StoreError::Busy(_))));
    backend.worker.run(change).await.unwrap();
    backend.worker.run(deletion).await.unwrap();

    assert!(backend.open_jobs().await.is_empty());
    assert_eq!(backend.events("&type=user.deleted").await.len(), 1);
}

#[tokio::test]
async fn deleted_installation_is_shown_as_it_was_whatever_else_its_user_owned() {
    let backend = Backend::start().await;
    let process = &backend.process;
    process.put_integration("a", &["k0"], true).await;
    let user = process.create_user("joe").await;
    let body = json!({ "credentials": { "shop": { "data": {} } } });
    let put = installation("PUT /users/{user}/installations/{integrationId}", &user, "a").body(body);
    let (_, installed) = process.call("installations_put", put).await;
    // More than are deleted in one step.
    let (_, items) = owned_items(backend.environment(), user.parse().unwrap(), 250);
    load(&aws(&setting("AWS_ACCESS_KEY_ID")).await, &setting("DIRECTORY_TABLE"), items).await;

    process.call("users_delete", request("DELETE /users/{user}").with("user", &user)).await;
    backend.run_jobs().await;

    let events = backend.events("&type=installation.deleted").await;
    let [deleted] = &events[..] else { panic!("{events:?}") };
    for part in ["attention", "credentialIds"] {
        assert_eq!(deleted["data"][part], installed[part], "{part}");
    }
}

#[tokio::test]
async fn deleted_installation_is_shown_as_it_was_when_another_run_overtakes_at_any_aws_call() {
    let backend = Backend::start().await;
    let process = &backend.process;
    process.put_integration("a", &["k0", "k1"], true).await;
    for call in 0.. {
        let user = process.create_user(&format!("joe-{call}")).await;
        let body = json!({ "credentials": { "shop": { "data": {} } } });
        let put = installation("PUT /users/{user}/installations/{integrationId}", &user, "a").body(body);
        let (_, installed) = process.call("installations_put", put).await;
        process.call("users_delete", request("DELETE /users/{user}").with("user", &user)).await;
        let [job] = &backend.open_jobs().await[..] else { panic!("one job") };

        // A process of its own: both would wait for the same value of one cache.
        let other = connect(&process.config, user_jobs::State::from_aws).await.unwrap();
        let (ran, overtaken) = process.crash.stall(call, backend.worker.run(job), other.run(job)).await;
        ran.unwrap();

        let events = backend.events(&format!("&userId={user}&type=installation.deleted")).await;
        let [deleted] = &events[..] else { panic!("{events:?}") };
        let ids = |shown: &Value| {
            let workflows = shown["workflows"].as_array().unwrap().iter();
            (
                workflows.map(|workflow| text(&workflow["workflowId"])).collect::<Vec<_>>(),
                shown["credentialIds"].clone(),
            )
        };
        assert_eq!(ids(&deleted["data"]), ids(&installed), "after a stall at call {call}");
        let Some(ran) = overtaken else {
            assert!(call > 10, "{call}");
            break;
        };
        ran.unwrap();
    }
}

#[tokio::test]
async fn deletion_of_a_user_has_one_exact_receipt_after_crashes_at_any_aws_call() {
    let backend = Backend::start().await;
    let process = &backend.process;
    process.put_integration("a", &["k0", "k1"], true).await;
    let mut receipts = 0;
    for call in 0.. {
        let user = process.create_user(&format!("joe-{call}")).await;
        let body = json!({ "credentials": { "shop": { "data": {} } } });
        let put = installation("PUT /users/{user}/installations/{integrationId}", &user, "a").body(body);
        assert_eq!(process.call("installations_put", put).await.0, 201);
        let body = json!({ "userId": user, "name": "Own" });
        assert_eq!(process.call("workflows_create", request("POST /workflows").body(body)).await.0, 201);
        let delete = request("DELETE /users/{user}").with("user", &user);
        assert_eq!(process.call("users_delete", delete).await.0, 200);

        let [job] = &backend.open_jobs().await[..] else { panic!("one job") };
        let crashed = process.crash.at(call, call % 2 == 0, backend.worker.run(job)).await.is_none();
        backend.run_jobs().await;
        // Another run, such as of a stream record that arrives again, changes nothing.
        backend.worker.run(job).await.unwrap();

        let events = backend.events(&format!("&userId={user}")).await;
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
        let [started] = of("user.disabled")[..] else { panic!("{events:?}") };
        assert_eq!((&started["data"]["deleting"], &started["data"]["status"]), (&json!(true), &json!("disabled")));
        let [receipt] = of("user.deleted")[..] else { panic!("{events:?}") };
        assert_eq!(receipt["data"]["counts"], json!({ "workflows": 3, "credentials": 1, "installations": 1 }));
        assert_eq!(receipt["actor"], started["actor"]);
        let counts = ["workflow.deleted", "credential.deleted", "installation.deleted"].map(|kind| of(kind).len());
        assert_eq!(counts, [3, 1, 1]);
        let mut engine = Engine::default();
        events.iter().rev().for_each(|event| engine.receive(event));
        for resource in ["workflow", "credential", "installation", "user"] {
            assert_eq!(engine.objects(resource), BTreeSet::new(), "{resource}");
        }
        receipts += 1;

        if !crashed {
            // Erasing the logs of the user keeps the receipt only.
            let aws = aws(&setting("AWS_ACCESS_KEY_ID")).await;
            let [directory, errors] = ["DIRECTORY_TABLE", "ERRORS_TABLE"].map(|name| Table::new(&aws, setting(name)));
            let started_at = Timestamp::now();
            let user_id = user.parse().unwrap();
            let erasure = Erasure { environment_id: backend.environment(), user_id, started_at };
            Erasures { directory, errors }.run(&erasure, started_at).await.unwrap();
            let left = backend.events(&format!("&userId={user}")).await;
            assert_eq!(left.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["user.deleted"]);
            break;
        }
    }
    assert!(receipts > 10, "{receipts}");
}
