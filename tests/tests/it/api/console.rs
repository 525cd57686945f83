//! The console in a real browser. Without one, `make test` reports it and these tests are skipped.

use serde_json::{Value, json};
use tests::{
    Api, Bus, Tenon,
    browser::{Appearance, Browser},
    eventually, example_error, setting,
    webhook_receiver::{Receiver, Reply},
};

const WIDE: Appearance = Appearance { width: 1200, dark: false };

/// Text that runs a script if it is interpreted as markup.
const MARKUP: &str = "<img src=x onerror=\"window.executed=1\"><script>window.executed=1</script>";

#[tokio::test]
async fn console_has_a_strict_content_security_policy() {
    let page = Api::anonymous().get("/console").await.is(200);
    let policy = page.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let known = Api::anonymous().request("GET", "/console").header("if-none-match", page.header("etag"));
    tests::send(known).await.is(304);
}

#[tokio::test]
async fn sign_in_keeps_key_in_memory_and_shows_environment() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    browser.fill("API key", "tn_test_nonsense").await;
    browser.click_on("Sign in").await;
    browser.wait_for_text("must be an API key").await;
    browser.fill("API key", &format!("tn_test_{}", "0".repeat(49))).await;
    browser.click_on("Sign in").await;
    browser.wait_for_text("Invalid API key.").await;
    browser.fill("API key", acme.engine.credential()).await;
    browser.click_on("Sign in").await;
    browser.wait_for_text("an API key with the scope `manage` or `read` is required").await;
    browser.sign_in(acme.backend.credential()).await;
    for part in ["Users", "Settings", "Error logs"] {
        browser.open_section(part).await;
        browser.wait_for_text("acme").await;
        browser.wait_for_text("test").await;
        browser.wait_for_text(&format!("Tenon {}", tenon::domain::VERSION)).await;
    }
    let kept = browser.execute("return [localStorage.length, sessionStorage.length, document.cookie]").await;
    assert_eq!(kept, json!([0, 0, ""]));
    browser.click_on("Sign out").await;
    browser.wait_for_text("API key").await;
    assert!(!browser.text().await.contains("Error logs"));
    browser.close().await;
}

#[tokio::test]
async fn eventbridge_destination_is_saved_tested_and_disabled() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    let workflow = acme.create_workflow(&acme.create_user("joe@acme.example").await, "Orders").await;
    let bus = Bus::new().await;
    browser.sign_in(acme.backend.credential()).await;
    browser.open_section("Settings").await;
    browser.wait_for_text("None yet.").await;
    // Submits the last form, that of the webhook, without a URL.
    browser.click_on("Save").await;
    browser.wait_for_text("must be a URL").await;
    save_bus(&browser, "wrong-secret-wrong-secret-wrong-secret", &bus.name).await;
    browser.wait_for_text("InvalidSignatureException").await;
    browser.wait_for_text("events:PutEvents").await;
    save_bus(&browser, &setting("TENON_CUSTOMER_SECRET"), &bus.name).await;
    browser.wait_for_text(&format!("EventBridge {} in {}", bus.name, setting("AWS_REGION"))).await;
    browser.wait_for_text("Unverified").await;
    let shown = browser.text().await;
    assert!(!shown.contains(&setting("TENON_CUSTOMER_SECRET")) && !shown.contains(&setting("TENON_CUSTOMER_KEY_ID")));
    browser.click_on("Least-privilege policy for these keys").await;
    browser.wait_for_text("events:PutEvents").await;
    browser.click_on("Send test event").await;
    browser.wait_for_text("Delivered: ").await;
    bus.wait_for("Workflow Error Test", 2).await;

    acme.record_error(&workflow, "streams").await;
    assert_eq!(bus.wait_for_errors(1).await[0]["detail"]["error"], "streams");
    browser.toggle(&format!("Send to EventBridge {} in {}", bus.name, setting("AWS_REGION"))).await;
    browser.wait_for_text("Disabled.").await;
    let control = acme.control_webhook().await;
    acme.record_error(&workflow, "off").await;
    eventually("the error was forwarded", async || (control.ids().len() == 1).then_some(())).await;
    assert!(bus.poll().await.is_empty());
    browser.close().await;
}

#[tokio::test]
async fn role_of_a_bus_is_set_up_in_two_steps() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    let bus = Bus::new().await;
    browser.sign_in(acme.backend.credential()).await;
    browser.open_section("Settings").await;
    browser.wait_for_text("None yet.").await;
    browser.fill("Region", &setting("AWS_REGION")).await;
    browser.fill("Event bus name or ARN", &bus.name).await;
    let role = format!("arn:aws:iam::{}:role/{}", setting("TENON_CUSTOMER_ACCOUNT"), bus.name);
    browser.fill("Role ARN", &role).await;
    browser.execute("document.querySelector('form').requestSubmit()").await;
    browser.wait_for_text("1. Create the role").await;
    let created = acme.backend.get("/destinations").await.is(200).body["data"][0].clone();
    browser.wait_for_text(created["credentials"]["externalId"].as_str().unwrap()).await;
    // The template creates the role as the API describes it.
    browser
        .execute(
            "URL.createObjectURL = (blob) => { blob.text().then((text) => { window.template = text; }); return '#'; }",
        )
        .await;
    browser.click_on("Download template").await;
    let template = eventually("the template is created", async || {
        let text = browser.execute("return window.template ?? null").await;
        text.as_str().map(|text| serde_json::from_str::<Value>(text).unwrap())
    })
    .await;
    let properties = &template["Resources"]["Role"]["Properties"];
    assert_eq!((&properties["RoleName"], &properties["Path"]), (&json!(bus.name), &json!("/")));
    assert_eq!(properties["AssumeRolePolicyDocument"], created["trustPolicy"]);
    assert_eq!(properties["Policies"][0]["PolicyDocument"], created["policy"]);
    // Each role has a stack of its own.
    browser.execute("navigator.clipboard.writeText = async (text) => { window.command = text; }").await;
    browser.click_on("Copy AWS CLI command").await;
    browser.wait_for_text("Copied.").await;
    let command = browser.execute("return window.command").await;
    let stack = format!("--stack-name tenon-{}-{} ", created["destinationId"].as_str().unwrap(), bus.name);
    assert!(command.as_str().unwrap().contains(&stack), "{command}");
    // Nobody has created the role.
    browser.click_on("Verify and enable").await;
    browser.wait_for_text("Tenon may not assume this role").await;
    browser.screenshot("console-role").await;
    browser.click_on("Close").await;
    browser.wait_for_text("not used yet").await;
    browser.click_on("Set up the role").await;
    browser.wait_for_text("2. Verify and enable").await;
    browser.close().await;
}

async fn save_bus(browser: &Browser, secret: &str, bus: &str) {
    let choose = "const select = document.querySelector('[name=access]'); select.value = 'keys';
        select.dispatchEvent(new Event('change', { bubbles: true }));";
    browser.execute(choose).await;
    browser.fill("Access key id", &setting("TENON_CUSTOMER_KEY_ID")).await;
    browser.fill("Secret access key", secret).await;
    browser.fill("Region", &setting("AWS_REGION")).await;
    browser.fill("Event bus name or ARN", bus).await;
    browser.execute("document.querySelector('form').requestSubmit()").await;
}

#[tokio::test]
async fn webhook_secret_is_shown_once_and_error_is_replayed() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders").await;
    let receiver = Receiver::new().await;
    browser.sign_in(acme.backend.credential()).await;
    browser.open_section("Settings").await;
    browser.fill("URL", &receiver.url).await;
    browser.click_on("Save").await;
    browser.wait_for_text("whsec_").await;
    browser.click_on("Close").await;
    browser.wait_for_no_text("whsec_").await;
    browser.click_on("Rotate secret").await;
    browser.fill("Type rotate to confirm", "rotate").await;
    browser.click_on("Rotate webhook secret").await;
    browser.wait_for_text("whsec_").await;
    browser.click_on("Close").await;
    browser.wait_for_no_text("whsec_").await;

    browser.open_section("Error logs").await;
    browser.wait_for_text("No errors found.").await;
    acme.record_error(&workflow, "Request failed with status code 403").await;
    browser.wait_for_text("Request failed with status code 403").await;
    browser.wait_for_text("1 ×").await;
    acme.record_error(&workflow, "Request failed with status code 403").await;
    browser.wait_for_text("2 ×").await;
    browser.wait_for_text("errors since").await;
    browser.click_on("Request failed with status code 403").await;
    browser.wait_for_text("delivered").await;
    browser.click_on("Replay").await;
    browser.wait_for_text("Replayed: 1 delivered, 0 failed.").await;
    eventually("the error arrived again", async || (receiver.received().len() == 3).then_some(())).await;
    browser.click_on("Close").await;
    browser.fill("Block type", "slack").await;
    browser.click_on("Apply filters").await;
    browser.wait_for_text("No errors found.").await;
    browser.close().await;
}

#[tokio::test]
async fn user_is_created_found_disabled_and_deleted() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    browser.sign_in(acme.backend.credential()).await;
    browser.open_section("Users").await;
    browser.click_on("Create a user").await;
    browser.fill("Email", "not an address").await;
    browser.click_on("Create user").await;
    browser.wait_for_text("must be an email address such as joe@example.com").await;
    browser.fill("Email", "joe@acme.example").await;
    browser.fill("Username", "joe").await;
    browser.click_on("Create user").await;
    browser.wait_for_text("Created joe.").await;
    let user = acme.backend.get("/users/joe").await.is(200).text("userId");
    acme.create_workflow(&user, "Orders").await;
    acme.create_credential(&user, json!({ "token": "shpat_6f1c2b9a7d3e4f52" })).await;
    browser.fill("Email, username or id", "JOE@acme.example").await;
    browser.click_on("Find").await;
    browser.wait_for_text("Orders").await;
    browser.wait_for_text("Shop (shopify)").await;
    browser.click_on("Disable").await;
    browser.wait_for_text("Disabled joe.").await;
    assert_eq!(acme.backend.get("/users/joe").await.is(200).body["status"], "disabled");
    browser.click_on("Enable").await;
    browser.wait_for_text("Enabled joe.").await;
    browser.click_on("Delete").await;
    browser.fill("Type joe to confirm", "jo").await;
    browser.click_on("Delete user").await;
    browser.wait_for_text("does not match").await;
    acme.backend.get("/users/joe").await.is(200);
    browser.fill("Type joe to confirm", "joe").await;
    browser.click_on("Delete user").await;
    browser.wait_for_text("Deleted joe.").await;
    acme.backend.get("/users/joe").await.is(404);
    browser.close().await;
}

#[tokio::test]
async fn what_a_destination_sends_is_chosen() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    let receiver = Receiver::new().await;
    browser.sign_in(acme.backend.credential()).await;
    browser.open_section("Settings").await;
    browser.fill("URL", &receiver.url).await;
    // The last form is that of the webhook, or of the dialog.
    let choose = async |value: &str| {
        let form = "[...document.querySelectorAll('form')].pop()";
        browser.execute(&format!("{form}.querySelector('[value=\"{value}\"]').click()")).await;
    };
    choose("error").await;
    browser.click_on("Save").await;
    browser.wait_for_text("must not be empty").await;
    choose("workflow.*").await;
    browser.click_on("Save").await;
    browser.wait_for_text("whsec_").await;
    browser.click_on("Close").await;
    browser.wait_for_text("Workflow events").await;
    let events = async || acme.backend.get("/destinations").await.body["data"][0]["events"].clone();
    assert_eq!(events().await, json!(["workflow.*"]));
    let path = format!(
        "/destinations/{}",
        acme.backend.get("/destinations").await.body["data"][0]["destinationId"].as_str().unwrap()
    );
    acme.backend.patch(&path, json!({ "events": ["user.deleted", "workflow.*"] })).await.is(200);
    browser.open_section("Users").await;
    browser.open_section("Settings").await;
    browser.wait_for_text("user.deleted").await;
    browser.click_on("Change what is sent").await;
    choose("error").await;
    choose("workflow.*").await;
    browser.execute("document.querySelector('dialog form').requestSubmit()").await;
    browser.wait_for_text("Saved.").await;
    assert_eq!(events().await, json!(["error", "user.deleted"]));
    browser.close().await;
}

#[tokio::test]
async fn stored_markup_is_shown_as_text() {
    let Some(browser) = Browser::open(WIDE).await else { return };
    let acme = Tenon::deployed().await.environment().await;
    let body = json!({ "username": "joe", "fullName": MARKUP, "metadata": { MARKUP: MARKUP } });
    let user = acme.backend.post("/users", body).await.is(201).text("userId");
    let workflow = acme.create_workflow(&user, MARKUP).await;
    let credential = json!({ "type": MARKUP, "name": MARKUP, "data": {} });
    acme.backend.post(&format!("/users/{user}/credentials"), credential).await.is(201);
    // Responses of a customer's server are shown, too.
    let receiver = Receiver::with_behavior(|_| Reply::Status(500, "")).await;
    let webhook = json!({ "type": "webhook", "url": format!("{}?{}", receiver.url, "q=%3Cscript%3E"), "description": MARKUP,
        "filter": { "blockType": [MARKUP] } });
    acme.backend.post("/destinations", webhook).await.is(201);
    let mut error = example_error(MARKUP);
    for member in ["executionId", "blockId", "blockType"] {
        error[member] = json!(MARKUP);
    }
    acme.engine.post(&format!("/workflows/{workflow}/errors"), error).await.is(202);

    browser.sign_in(acme.backend.credential()).await;
    browser.wait_for_text(MARKUP).await;
    browser.execute("document.querySelector('td.text button').click()").await;
    browser.wait_for_text("Deliveries").await;
    browser.click_on("Close").await;
    browser.open_section("Users").await;
    browser.wait_for_text(MARKUP).await;
    browser.click_on("joe").await;
    browser.wait_for_text("Credentials").await;
    browser.click_on("Close").await;
    browser.open_section("Settings").await;
    browser.wait_for_text(MARKUP).await;
    assert_eq!(
        browser
            .execute("return [window.executed, document.querySelectorAll('main img, main script, dialog img').length]")
            .await,
        json!([null, 0])
    );
    browser.close().await;
}

#[tokio::test]
async fn console_is_accessible_in_both_color_schemes_from_360_pixels() {
    let acme = Tenon::deployed().await.environment().await;
    let user = acme.create_user("joe@acme.example").await;
    let workflow = acme.create_workflow(&user, "Orders to Shopify").await;
    acme.create_credential(&user, json!({})).await;
    acme.create_bus_destination("tenon-test-errors").await;
    acme.create_webhook(&Receiver::new().await.url).await;
    let now = tenon::domain::timestamp::Timestamp::now();
    for n in 0..40_u64 {
        let mut error = example_error(
            [
                "Request failed with status code 403",
                "Timeout after 30000 ms",
                "Rate limit of https://shop.example/orders?page=2 is reached",
            ][(n % 3) as usize],
        );
        error["createdAt"] = json!(now - std::time::Duration::from_secs(n * n));
        acme.engine.post(&format!("/workflows/{workflow}/errors"), error).await.is(202);
    }
    for (width, dark) in [(1200, false), (1200, true), (360, false), (360, true)] {
        let Some(browser) = Browser::open(Appearance { width, dark }).await else { return };
        let name = |part: &str| format!("{part}-{width}-{}", if dark { "dark" } else { "light" });
        let mut violations = browser.accessibility_violations().await;
        browser.screenshot(&name("sign-in")).await;
        browser.sign_in(acme.backend.credential()).await;
        browser.wait_for_text("at most").await;
        violations.extend(browser.accessibility_violations().await);
        browser.screenshot(&name("errors")).await;
        browser.execute("document.querySelector('td.text button').click()").await;
        browser.wait_for_text("Replay").await;
        violations.extend(browser.accessibility_violations().await);
        browser.screenshot(&name("error")).await;
        browser.click_on("Close").await;
        browser.open_section("Users").await;
        browser.wait_for_text("joe@acme.example").await;
        violations.extend(browser.accessibility_violations().await);
        browser.screenshot(&name("users")).await;
        browser.execute("document.querySelector('td.text button').click()").await;
        browser.wait_for_text("Orders to Shopify").await;
        violations.extend(browser.accessibility_violations().await);
        browser.screenshot(&name("user")).await;
        browser.click_on("Close").await;
        browser.open_section("Settings").await;
        browser.wait_for_text("Send test event").await;
        violations.extend(browser.accessibility_violations().await);
        browser.screenshot(&name("settings")).await;
        assert!(violations.is_empty(), "{width} {dark}: {violations:#?}");
        browser.close().await;
    }
}
