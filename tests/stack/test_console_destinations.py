"""Destinations in the console: creation, settings, roles, and the repair of deliveries."""

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import customer
import pytest
from browser import ENTER, ESCAPE, Browser
from console import Console
from deployed import delivery_partitions
from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from receiver import Receiver
from stack import Stack
from waiting import PATIENCE, wait

pytestmark = pytest.mark.console


@pytest.fixture
def console(browser: Browser, emulator: Emulator, stack: Stack) -> Iterator[Console]:
    """The console, with an environment of its own."""
    with Console(browser, emulator, stack).opened() as console:
        yield console


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook endpoint."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def bus(emulator: Emulator) -> customer.Bus:
    """An event bus of the customer."""
    return customer.make_bus(emulator, f"tenon-test-{uuid.uuid4().hex[:12]}")


def replays(console: Console, destination: str) -> list[dict]:
    """Returns the replays of a destination."""
    return console.get(f"/destinations/{destination}/replays")["data"]


def only(console: Console) -> dict:
    """Returns the only destination."""
    [destination] = console.get("/destinations")["data"]
    return destination


# ------------------------------------------------------------------------------------------
# Creation


def test_webhook_is_created_and_its_secret_is_shown_once(console: Console, receiver: Receiver) -> None:
    console.sign_in("#/destinations")
    console.see("No destinations")
    console.click("Add destination")
    console.click("Save")
    assert console.problem("URL") == "is required"
    assert console.focused() == "URL"
    console.fill("URL", "https://10.0.0.1/hook")
    console.click("Save")
    console.browser.wait("return document.querySelector('[aria-invalid] + p b')?.innerText !== 'is required'")
    assert console.problem("URL")
    assert console.focused() == "URL"
    assert console.get("/destinations")["data"] == []
    console.fill("Name", "Support desk")
    console.fill("Description", "Tickets")
    console.fill("URL", f"{receiver.url}?token=s3cr3t")
    console.click("Save", "Webhook secret", "whsec_")
    # It is shown only once: neither a key nor another page closes it by mistake.
    for _ in range(2):
        console.browser.press(ESCAPE)
    assert "Close" not in console.controls()
    console.browser.run("history.back()")
    console.browser.wait("return location.hash === '#/destinations'")
    console.click("Copy secret", "Copied.")
    [secret] = console.browser.run("return spy.copied")
    assert secret.startswith("whsec_")
    console.click("Done")
    console.gone("whsec_")
    console.browser.run("history.forward()")
    console.see("Support desk", "Nothing sent yet", "not verified")
    console.click("Send test event", "Test event delivered", ": 200 in")
    console.gone("not verified")
    assert len(receiver.ids) == 1
    # A secret in the URL is hidden until it is asked for.
    console.click("Settings", "Tickets", "127.0.0.1", "/•••")
    console.gone("s3cr3t")
    console.click("Show the whole URL", "token=s3cr3t")
    console.click("Hide the whole URL")
    console.gone("s3cr3t")
    console.click("Rotate secret", "Rotate the secret of Support desk?", "24 hours")
    console.find("named('dialog button', 'Rotate secret').click()")
    console.see("Webhook secret", "whsec_")
    console.click("Copy secret", "Copied.")
    assert secret not in console.browser.run("return spy.copied")[1]
    console.click("Done")
    console.gone("whsec_")
    console.open("#/destinations")
    console.see("Support desk", "healthy", "127.0.0.1", "/•••")
    console.gone("s3cr3t")


def test_bus_is_created_with_keys_that_aws_accepts(console: Console, bus: customer.Bus) -> None:
    keys = customer.make_keys(console.emulator, bus.name, bus.name)
    others = customer.make_keys(console.emulator, f"{bus.name}-other", "another-bus")
    console.sign_in("#/destinations")
    console.click("Add destination")
    console.click("Amazon EventBridge")
    console.click("Save")
    for field in ("Region", "Event bus name or ARN", "Role ARN"):
        assert console.problem(field) == "is required"
    assert console.focused() == "Region"
    console.click("Access keys")
    console.click("Save")
    for field in ("Access key id", "Secret access key"):
        assert console.problem(field) == "is required"
    console.fill("Region", REGION)
    console.fill("Event bus name or ARN", bus.name)
    console.fill("Access key id", keys.access_key_id)
    console.fill("Secret access key", "wrong-secret-wrong-secret-wrong-secret")
    console.click("Save", "AWS response: ")
    assert console.problem("Secret access key").startswith("the secret access key does not match the access key ID")
    assert console.focused() == "Secret access key"
    # A policy would not help.
    console.gone("events:PutEvents")
    console.fill("Access key id", others.access_key_id)
    console.fill("Secret access key", others.secret_access_key)
    console.click("Save", "credentials: these credentials do not allow events:PutEvents", "Least-privilege policy")
    console.see(f'event-bus/{bus.name}"')
    assert console.get("/destinations")["data"] == []
    console.fill("Access key id", keys.access_key_id)
    console.fill("Secret access key", keys.secret_access_key)
    console.click("Save", f"{bus.name} in {REGION}", "Send test event")
    console.gone("Add destination")
    console.click("Send test event", "Test event delivered")
    console.click("Settings", "Least-privilege policy", keys.access_key_id[-4:])
    assert keys.secret_access_key not in console.text()
    assert keys.access_key_id not in console.text()
    console.record(console.workflow(console.user("joe"), "Orders"), "streams")
    assert (bus.receive(PATIENCE) or {})["detail"]["error"] == "streams"
    # It can be disabled.
    console.click(f"Send to {bus.name}", "Disable", "Nothing is queued.")
    console.find("named('dialog button', 'Disable').click()")
    console.see(" is disabled.", "Nothing is sent")
    assert not only(console)["enabled"]


def test_role_of_a_bus_is_set_up_in_two_steps(console: Console, bus: customer.Bus) -> None:
    role = f"arn:aws:iam::{CUSTOMER_ACCOUNT}:role/{bus.name}"
    console.sign_in("#/destinations")
    console.click("Add destination")
    console.click("Amazon EventBridge")
    console.fill("Region", REGION)
    console.fill("Event bus name or ARN", bus.name)
    console.fill("Role ARN", role)
    console.click("Save", "1. Create the role", "2. Verify and enable")
    created = only(console)
    console.see(created["credentials"]["externalId"])
    # The template creates the role as the API describes it.
    console.click("Download template", "Template downloaded.")
    [download] = console.browser.wait("return spy.downloads.length && spy.downloads")
    properties = json.loads(download["text"])["Resources"]["Role"]["Properties"]
    assert download["name"] == "tenon-role.json"
    assert (properties["RoleName"], properties["Path"]) == (bus.name, "/")
    assert properties["AssumeRolePolicyDocument"] == created["trustPolicy"]
    assert properties["Policies"][0]["PolicyDocument"] == created["policy"]
    # Each role has a stack of its own.
    console.click("Copy AWS CLI command", "Copied.")
    [command] = console.browser.run("return spy.copied")
    assert f"--stack-name tenon-{created['destinationId']}-{bus.name} " in command
    # Nobody has created the role.
    console.click("Verify and enable", "Tenon may not assume this role")
    console.click("Later")
    console.click("Settings", "not used yet", role)
    assert not only(console)["enabled"]
    iam = console.emulator.client("iam", CUSTOMER_ACCOUNT)
    iam.create_role(RoleName=bus.name, AssumeRolePolicyDocument=json.dumps(created["trustPolicy"]))
    console.click("Set up the role", "2. Verify and enable")
    console.click("Verify and enable", "attach the policy in `policy`", f'event-bus/{bus.name}"')
    iam.put_role_policy(RoleName=bus.name, PolicyName="put", PolicyDocument=json.dumps(created["policy"]))
    console.click("Verify and enable", "Enabled")
    assert only(console)["enabled"]
    console.record(console.workflow(console.user("joe"), "Orders"), "through the role")
    console.skip_until("last used")
    assert (bus.receive(PATIENCE) or {})["detail"]["error"] == "through the role"


def test_what_a_destination_sends_is_chosen(console: Console, receiver: Receiver) -> None:
    joe, ann = (console.workflow(console.user(name), f"Orders of {name}") for name in ("joe", "ann"))
    console.sign_in("#/destinations")
    console.click("Add destination")
    console.fill("URL", receiver.url)
    console.click("Errors of workflows")
    console.click("Save", "must not be empty")
    console.click("Workflow events")
    console.click("Only those of certain users")
    console.fill("Users", "joe, nobody")
    console.click("Save")
    assert console.problem("Users") == "#2: no user with this username or email address"
    console.fill("Users", "joe, ANN")
    console.click("Save", "Webhook secret")
    console.click("Done")
    console.click("Settings", "Sends", "Workflow events", "Only users", "joe", "ann")
    created = only(console)
    assert created["events"] == ["workflow.*"]
    assert len(created["filter"]["userId"]) == 2
    path = f"/destinations/{created['destinationId']}"
    # Types of events that were set through the API are kept.
    console.environment.call("PATCH", path, {"events": ["user.deleted", "workflow.*"]})
    console.skip_until("user.deleted")
    edit(console, "Errors and events")
    console.see("Change what is sent")
    console.click("Errors of workflows")
    console.click("Workflow events")
    console.fill("Users", "joe")
    console.fill("Block types", "alloy.shopify\nalloy.slack\n HTTP request, v2 ")
    console.click("Save", "Saved.", "Only block types", "alloy.slack")
    # What is saved without a change stays.
    edit(console, "Errors and events")
    console.see("Change what is sent")
    console.click("Save", "Saved.")
    changed = only(console)
    assert changed["events"] == ["error", "user.deleted"]
    assert changed["filter"] == {
        "userId": [console.get("/users/joe")["userId"]],
        "blockType": ["alloy.shopify", "alloy.slack", "HTTP request, v2"],
    }
    wanted = console.record(joe, "wanted")
    console.record(joe, "another block", blockType="alloy.hubspot")
    console.record(ann, "another user")
    wait(lambda: receiver.ids, "the error arrives")
    console.open("#/destinations")
    console.see("error", "filtered")
    assert receiver.ids == wanted
    # Without a filter, everything is sent.
    console.open(f"#/destinations/{created['destinationId']}?view=settings")
    edit(console, "Errors and events")
    for field in ("Users", "Block types"):
        console.fill(field, "")
    console.click("Save", "Saved.")
    console.gone("Only block types")
    assert not only(console)["filter"]


# ------------------------------------------------------------------------------------------
# Settings


def edit(console: Console, section: str, button: str = "Edit") -> None:
    """Opens the editor of a section of the settings."""
    console.act(
        "return press([...visible('section').find(({ ariaLabel }) => ariaLabel === arguments[0])?.querySelectorAll('button') ?? []].find((one) => textOf(one) === arguments[1]))",
        section,
        button,
    )


def test_every_part_of_a_webhook_is_edited(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver, name="Support", description="Tickets")
    console.sign_in(f"#/destinations/{destination}?view=settings")
    console.see("Tickets")
    edit(console, "General")
    assert (console.value("Name"), console.value("Description")) == ("Support", "Tickets")
    console.fill("Name", "Data warehouse")
    console.fill("Description", "")
    console.click("Save", "Saved.", "Data warehouse")
    assert (only(console)["name"], only(console)["description"]) == ("Data warehouse", None)
    edit(console, "Webhook", "Change URL")
    assert console.value("URL") == receiver.url
    console.fill("URL", "")
    console.click("Save")
    assert console.problem("URL") == "is required"
    console.fill("URL", f"{receiver.url}/2")
    console.click("Save", "Saved.")
    wait(lambda: only(console)["url"] == f"{receiver.url}/2", "the URL is saved")
    edit(console, "General")
    console.fill("Name", "")
    console.click("Save", "Saved.")
    wait(lambda: only(console)["name"] is None, "the name is removed")


def test_bus_and_keys_are_changed_after_a_check(console: Console, bus: customer.Bus) -> None:
    other = customer.make_bus(console.emulator, f"{bus.name}-other")
    keys = customer.make_keys(console.emulator, bus.name, bus.name)
    credentials = {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
    body = {"type": "eventbridge", "region": REGION, "eventBusName": bus.name, "credentials": credentials}
    destination = console.environment.call("POST", "/destinations", body, 201)["destinationId"]
    console.sign_in(f"#/destinations/{destination}?view=settings")
    edit(console, "Amazon EventBridge", "Change bus")
    console.fill("Event bus name or ARN", other.name)
    console.click("Save", "these credentials do not allow events:PutEvents")
    console.click("Cancel")
    assert only(console)["eventBusName"] == bus.name
    both = customer.make_keys(console.emulator, f"{bus.name}-both", f"{bus.name}*")
    edit(console, "Amazon EventBridge", "Replace keys or role")
    console.fill("Access key id", both.access_key_id)
    console.fill("Secret access key", keys.secret_access_key)
    console.click("Check and replace")
    assert "does not match" in console.problem("Secret access key")
    console.fill("Secret access key", both.secret_access_key)
    console.click("Check and replace", "The new keys are used.")
    edit(console, "Amazon EventBridge", "Change bus")
    console.fill("Event bus name or ARN", other.name)
    console.click("Save", "Saved.", other.name)
    assert only(console)["eventBusName"] == other.name
    # Deleting says what is lost.
    console.click(
        "Delete destination", f"Delete {other.name} in {REGION}?", "its credentials are erased", "cannot be undone"
    )
    red = console.find("return getComputedStyle(named('button', 'Delete destination')).backgroundColor")
    assert red == console.browser.run(
        "const probe = document.body.appendChild(document.createElement('i')); probe.style.color = 'var(--bad)'; return getComputedStyle(probe).color"
    )
    console.click("Delete destination", "is deleted.", "No destinations")
    assert console.get("/destinations")["data"] == []


# ------------------------------------------------------------------------------------------
# Repair


def fail(console: Console, *texts: str, destination: str) -> list[str]:
    """Records errors, and waits until their deliveries to a destination are pending."""
    workflow = console.workflow(console.user(f"user-{uuid.uuid4().hex[:6]}"), "Orders")
    ids = console.record(workflow, *texts)
    console.wait_for_deliveries(destination, "pending", len(texts))
    return ids


# As many as open the circuit: of more, some would not be attempted if they came in two batches.
TEXTS = [f"status code 500 of order {index}" for index in range(5)]


def test_outage_of_an_endpoint_is_repaired(console: Console) -> None:
    # A pause after the first attempts: no retry sends anything before the replay counts it.
    broken = Receiver(503, '{"error":"database is unavailable"}', pauses_from=len(TEXTS))
    with broken, Receiver() as healthy:
        destination = console.webhook(broken, name="Support desk")
        other = console.webhook(healthy, name="Data warehouse")
        ids = fail(console, *TEXTS, destination=destination)
        wait(lambda: console.health(destination)["status"] == "failing", "the circuit opens")
        wait(lambda: len(healthy.ids) == len(ids), "the other destination has all")
        console.sign_in()
        console.see("1 failing")
        console.click("Destinations", "Support desk", "failing", "5 deliveries queued", "healthy")
        console.click("Support desk", "Failing since", "5 deliveries queued, next attempt ", "Last failure")
        console.see("database is unavailable")
        rows = console.rows(len(ids))
        assert all("pending503" in row.replace(" ", "") and "database is unavailable" in row for row in rows)
        # The attempts of one of them.
        console.click("Error …", "Next attempt", "database is unavailable", "ms")
        console.click("Close")
        # The endpoint works again.
        broken.status, broken.response = 200, ""
        console.click("Send 5 queued deliveries now", "The replay has started.", "pending deliveries")
        assert console.parameters() == {"view": "replays"}
        console.skip_until("5 of 5 delivered", "done", "healthy")
        console.gone("failing", "retrying")
        assert sorted(broken.ids) == sorted(ids)
        assert sorted(healthy.ids) == sorted(ids)
        assert console.health(other)["status"] == "healthy"
        console.click("Deliveries", "Delivered later")
        console.click("Pending", "There are no pending deliveries.")
        console.click("Delivered later", "delivered")
        console.rows(len(ids))


def test_revoked_aws_keys_are_replaced(console: Console, bus: customer.Bus) -> None:
    keys = customer.make_keys(console.emulator, bus.name, bus.name)
    credentials = {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
    body = {
        "type": "eventbridge",
        "region": REGION,
        "eventBusName": bus.name,
        "credentials": credentials,
        "name": "Operations",
    }
    destination = console.environment.call("POST", "/destinations", body, 201)["destinationId"]
    iam = console.emulator.client("iam", CUSTOMER_ACCOUNT)
    iam.delete_access_key(UserName=bus.name, AccessKeyId=keys.access_key_id)
    ids = fail(console, *TEXTS, destination=destination)
    wait(lambda: console.health(destination)["status"] == "failing", "the circuit opens")
    console.sign_in("#/destinations")
    console.click(
        "Operations",
        "Failing since",
        "5 deliveries queued",
        "Last failure",
        "The security token included in the request is invalid",
    )
    new = customer.make_keys(console.emulator, bus.name, bus.name)
    console.click("Replace keys or role")
    console.fill("Access key id", new.access_key_id)
    console.fill("Secret access key", new.secret_access_key)
    console.click("Check and replace", "The new keys are used.")
    arrived = set[str]()
    # The drain may be faster than the operator.
    if console.find("return Boolean(named('button', 'Send '))"):
        console.act("const send = named('button', 'Send 5'); return send ? press(send) : null")
    while len(arrived) < len(ids):
        event = bus.receive(PATIENCE)
        assert event, console.health(destination)
        arrived.add(event["detail"]["_id"])
    assert arrived == set(ids)
    console.skip_until("healthy")
    console.gone("failing", "queued")


def test_disabling_names_what_it_cancels_and_enabling_sends_it(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver, name="Support desk")
        cancelled = fail(console, *TEXTS[:3], destination=destination)
        console.sign_in(f"#/destinations/{destination}")
        console.see("3 deliveries queued")
        console.click("Send to Support desk", "Disable Support desk?", "It cancels 3 queued deliveries.")
        console.click("Cancel")
        assert only(console)["enabled"]
        console.click("Send to Support desk", "It cancels 3 queued deliveries.")
        console.click("Disable", "Support desk is disabled.", "Nothing is sent")
        console.wait_for_deliveries(destination, "cancelled", 3)
        console.click("Cancelled")
        console.rows(3)
        with Receiver(200) as witness:
            console.webhook(witness)
            meanwhile = console.record(console.workflow(console.user("ann"), "Orders"), "recorded meanwhile")
            # Once it is forwarded, only a replay sends it to the disabled destination.
            wait(lambda: witness.ids == meanwhile, "the error is forwarded")
        receiver.status = 200
        console.click(
            "Send to Support desk", "Send what it missed?", "3 cancelled deliveries", "recorded while it was disabled"
        )
        assert console.find("return visible('input[name=missed]').map(({ checked }) => checked)") == [True, True]
        assert console.value("Disabled since")
        console.click("Send", "Request")
        wait(lambda: set(receiver.ids) == {*cancelled, *meanwhile}, "all arrive")
        console.skip_until("3 of 3 delivered", "cancelled deliveries")
        wait(lambda: all(replay["status"] == "done" for replay in replays(console, destination)), "done")
        by_range, by_status = sorted(replays(console, destination), key=lambda replay: "cancelled" in replay["request"])
        assert (by_status["found"], by_status["delivered"]) == (3, 3)
        # The range begins with a whole second, and may include what was cancelled in it.
        assert 1 <= by_range["found"] == by_range["delivered"] <= 4
        arrivals = Counter(receiver.ids)
        assert arrivals.keys() == {*cancelled, *meanwhile}
        assert [arrivals[id] for id in meanwhile] == [1]
        assert max(arrivals.values()) <= 2


def test_what_a_destination_missed_is_sent_once_whatever_fails(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver, name="Support desk")
        fail(console, TEXTS[0], destination=destination)
    console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": False})
    console.wait_for_deliveries(destination, "cancelled", 1)
    console.sign_in(f"#/destinations/{destination}")
    console.see("Nothing is sent")
    console.forget()
    console.find("const toggle = controlOf('Send to Support desk'); toggle.click(); toggle.click()")
    console.see("Send what it missed?")
    assert len(console.requests("PATCH")) == 1, "the second click of a double click has no effect"
    # A refresh keeps the offer.
    console.click("Not now", "Not sent: 1 cancelled delivery")
    console.click("Refresh", "Refreshed.")
    assert "Not sent: 1 cancelled delivery" in console.text()
    console.click("Replay these", "Send what Support desk missed?")
    fail_second = """const { fetch } = window;
        let replays = 0;
        window.fetch = async (url, options) => {
          if (url.pathname.endsWith("/replay") && (replays += 1) === 2) throw new TypeError("offline");
          return fetch(url, options);
        };"""
    console.browser.run(fail_second)
    console.click("Send", "The API is unreachable.")
    console.click("Send", "Request")
    requests = [replay["request"] for replay in replays(console, destination)]
    assert sorted("cancelled" in request for request in requests) == [False, True], requests


def test_everything_that_a_destination_missed_is_sent_later(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver, name="Support desk")
        cancelled = fail(console, TEXTS[0], destination=destination)
        console.sign_in(f"#/destinations/{destination}")
        console.click("Send to Support desk", "Disable Support desk?")
        console.click("Disable", "Nothing is sent")
        console.wait_for_deliveries(destination, "cancelled", 1)
        with Receiver(200) as witness:
            console.webhook(witness)
            meanwhile = console.record(console.workflow(console.user("ann"), "Orders"), "recorded meanwhile")
            wait(lambda: witness.ids == meanwhile, "the error is forwarded")
        receiver.status = 200
        console.click("Send to Support desk", "Send what it missed?")
        console.click("Not now", "Not sent: 1 cancelled delivery. What was recorded while it was disabled")
        # The rest is still offered.
        console.click("Replay these", "Send what Support desk missed?")
        console.click("What was recorded while it was disabled")
        console.click("Send", "Request")
        wait(lambda: receiver.ids == cancelled, "the cancelled delivery arrives")
        console.click("Deliveries", "What was recorded while it was disabled")
        console.click("Replay these", "Send what Support desk missed?")
        console.click("Send", "Request")
        wait(lambda: set(receiver.ids) == {*cancelled, *meanwhile}, "all arrive")
        console.click("Deliveries")
        console.gone("What was recorded while it was disabled")


def test_test_event_that_fails_replaces_the_last_verification(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver, name="Support desk")
    console.sign_in(f"#/destinations/{destination}")
    console.click("Send test event", "Test event delivered", "verified a test event was accepted")
    receiver.status = 500
    console.click("Send test event", "Test event not delivered")
    console.gone("verified")


def test_destination_is_shown_as_healthy_after_its_first_success(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver)
    console.sign_in("#/destinations")
    console.see("healthy", "Nothing sent yet")
    is_good = "return document.querySelector('td .badge').classList.contains('good')"
    assert not console.browser.run(is_good)
    console.record(console.workflow(console.user("joe"), "Orders"), "status code 500")
    wait(lambda: console.health(destination)["lastSuccessAt"], "the error is delivered")
    console.skip_until("Last delivery")
    assert console.browser.run(is_good)


def test_texts_of_a_new_destination_are_not_lost(console: Console) -> None:
    console.sign_in("#/destinations")
    console.click("Add destination", "Description")
    console.fill("URL", "https://example.com/hook")
    console.click("Amazon EventBridge", "Region")
    console.fill("Region", "eu-central-1")
    console.fill("Role ARN", "arn:aws:iam::111122223333:role/tenon")
    console.click("Access keys", "Secret access key")
    console.click("Role (recommended)", "Role ARN")
    assert console.value("Region") == "eu-central-1"
    assert console.value("Role ARN") == "arn:aws:iam::111122223333:role/tenon"
    console.click("Webhook", "Description")
    assert console.value("URL") == "https://example.com/hook"
    console.click("Close", "Discard what you entered?")
    console.click("Keep it")
    console.gone("Discard what you entered?")
    # Without a real key, the browser does not ask the page.
    console.find("fieldOf('Name').focus()")
    console.browser.press("7")
    console.browser.press(ESCAPE)
    console.see("Discard what you entered?")
    console.click("Keep it")
    assert console.value("Name") == "7"
    console.click("Close", "Discard what you entered?")
    console.click("Discard")
    console.gone("Discard what you entered?", "Description")


def test_what_is_being_sent_cannot_be_changed_and_its_failure_is_always_told(
    console: Console, receiver: Receiver
) -> None:
    destination = console.webhook(receiver, name="Support desk")
    console.sign_in(f"#/destinations/{destination}?view=settings")
    console.see("Support desk")
    edit(console, "General")
    console.fill("Description", "Tickets")
    console.hold("PATCH")
    console.find("fieldOf('Description').focus()")
    console.browser.press(ENTER)
    console.wait_held()
    console.find("fieldOf('Description').focus()")
    assert console.focused() != "Description"
    console.set_offline(True)
    console.release()
    console.see("The API is unreachable.")
    assert console.focused() == "Description"
    console.set_offline(False)
    # The dialog is closed before the request fails.
    console.hold("PATCH")
    console.click("Save")
    console.wait_held()
    console.browser.press(ESCAPE)
    console.browser.wait("return document.querySelector('dialog') === null")
    console.set_offline(True)
    console.release()
    console.announced("The API is unreachable.")
    console.set_offline(False)
    # A choice has no field that could get the focus.
    edit(console, "Errors and events")
    console.click("Errors of workflows")
    console.click("Save")
    console.browser.wait("return document.querySelector('dialog .error[role=alert]')?.innerText")


def test_deliveries_are_replayed_by_selection_range_and_status(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver)
        ids = fail(console, *TEXTS[:4], destination=destination)
        console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": False})
        console.wait_for_deliveries(destination, "cancelled", 4)
        console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": True})
        receiver.status = 200
        console.sign_in(f"#/destinations/{destination}?status=cancelled")
        console.rows(4)
        # Two that are selected.
        chosen = console.browser.run(
            "return [...document.querySelectorAll('main tbody a[title]')].slice(0, 2).map(({ title }) => title)"
        )
        for error in chosen:
            console.click(f"Select {error}")
        console.click("Replay 2 selected deliveries", "The 2 selected deliveries")
        console.click("Start replay", "2 errors")
        console.skip_until("2 of 2 delivered")
        assert sorted(receiver.ids) == sorted(chosen)
        # Those with a status.
        console.click("Replay …", "All deliveries that are")
        console.click("failed: ")
        console.click("cancelled: ")
        console.click("Start replay", "Choose at least one status.")
        console.click("cancelled: ")
        console.click("Start replay", "cancelled deliveries")
        wait(lambda: sorted(receiver.ids) == sorted(ids), "the others arrive")
        # A time range, also what has arrived.
        console.click("Replay …", "All deliveries that are")
        console.click("Everything that was recorded in a time range", "Since")
        console.fill("Since", "")
        console.click("Start replay")
        assert console.problem("Since") == "is required"
        since = datetime.now(UTC) - timedelta(minutes=30)
        console.fill("Since", since.astimezone().strftime("%Y-%m-%dT%H:%M:%S"))
        console.click("Start replay", "Recorded 30 min. ago to")
        wait(lambda: len(receiver.ids) == 8, "all arrive again")
        console.skip_until("4 of 4 delivered")
        assert sorted(receiver.ids) == sorted(ids * 2)


def test_open_error_shows_the_outcome_of_its_pending_delivery(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver, name="Support desk")
        [error] = fail(console, TEXTS[0], destination=destination)
        console.sign_in(f"#/errors?error={error}")
        console.see("Support desk", "pending")
        assert "delivered" not in console.text()
        # Its next attempts are far apart, and so are the requests.
        console.skip(120)
        console.forget()
        console.skip(60)
        assert len(console.requests(f"GET /errors/{error}")) <= 1
        assert len(console.requests()) <= 6
        receiver.status = 200
        console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": True})
        console.skip_until("delivered")
    # Nothing changes any longer.
    console.forget()
    console.skip(60)
    assert console.requests(f"GET /errors/{error}") == []


def test_held_key_that_opens_a_dialog_does_not_submit_its_form(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver)
    console.sign_in(f"#/destinations/{destination}")
    console.see("Replay …")

    def press(**more: Any) -> None:
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r", **more}
        console.browser.cdp("Input.dispatchKeyEvent", type="keyDown", **enter)

    console.find("controlOf('Replay …').focus()")
    press()
    console.see("All deliveries that are")
    for _ in range(3):
        press(autoRepeat=True)
    assert console.requests("POST") == []
    console.browser.cdp("Input.dispatchKeyEvent", type="keyUp", key="Enter", code="Enter", windowsVirtualKeyCode=13)
    press()
    console.announced("The replay has started.")


def test_selection_of_deliveries_that_are_gone_replays_nothing_else(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver)
        fail(console, *TEXTS[:2], destination=destination)
        console.sign_in(f"#/destinations/{destination}?status=pending")
        console.rows(2)
        console.click("Select all", "Replay 2 selected deliveries")
        receiver.status = 200
        console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": True})
        wait(lambda: len(receiver.ids) == 2, "all are delivered")
        console.skip_until("There are no pending deliveries.")
        console.gone("selected")


def test_edit_keeps_what_someone_else_has_changed_meanwhile(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver, name="Desk")
    console.sign_in(f"#/destinations/{destination}?view=settings")
    console.see("Errors and events")
    edit(console, "Errors and events")
    filtered = {"filter": {"blockType": ["alloy.shopify"]}}
    console.environment.call("PATCH", f"/destinations/{destination}", filtered)
    console.click("User events")
    console.click("Save", "Saved.")
    stored = console.get(f"/destinations/{destination}")
    assert stored["filter"]["blockType"] == ["alloy.shopify"]
    assert sorted(stored["events"]) == ["error", "user.*"]


def test_destination_is_created_once_whatever_response_is_lost(console: Console, receiver: Receiver) -> None:
    console.sign_in("#/destinations")
    console.click("Add destination", "Webhook")
    console.fill("URL", receiver.url)
    for fault in (console.cut, lambda start: console.set_offline(start is not None, start or "")):
        fault("POST /destinations")
        console.click("Save", "The API is unreachable.")
        fault(None)
    console.click("Save", "It is shown only once", "whsec_")
    [created] = console.get("/destinations")["data"]
    assert created["destinationId"] in console.fragment()


def test_destination_is_shown_before_the_list_has_it(console: Console, receiver: Receiver) -> None:
    console.sign_in("#/destinations")
    console.see("No destinations")
    console.click("Add destination")
    console.fill("Name", "Support desk")
    console.fill("URL", receiver.url)
    console.hold("GET /destinations?")
    console.click("Save", "Webhook secret")
    console.click("Done")
    console.see("Support desk", "Nothing sent yet")
    console.release()
    # Nor is one that someone else has just created said to be deleted.
    other = console.webhook(receiver, name="On call")
    console.hold("GET /destinations?")
    console.open(f"#/destinations/{other}")
    console.wait_held()
    assert "Destination not found" not in console.text()
    console.release()
    console.see("On call")
    # Nor one whose list is requested twice after a reload.
    console.load()
    console.hold("GET /destinations?")
    console.sign_in(f"#/destinations/{other}")
    console.browser.wait("return spy.waiting.length > 1")
    console.browser.run("spy.waiting.shift()()")
    console.browser.wait("return spy.open === 1")
    assert "Destination not found" not in console.text()
    console.release()
    console.see("On call")
    console.open(f"#/destinations/{'0' * 24}")
    console.see("Destination not found")


def test_delivery_behind_thousands_with_another_status_is_found(
    console: Console, emulator: Emulator, stack: Stack
) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver)
        [found] = fail(console, TEXTS[0], destination=destination)
    console.environment.call("PATCH", f"/destinations/{destination}", {"enabled": False})
    console.wait_for_deliveries(destination, "cancelled", 1)
    # Newer ones that were delivered, more than one request searches.
    table, dynamodb = stack.outputs["ErrorsTable"], emulator.client("dynamodb")
    environment = console.get("/environment")["environmentId"]
    partitions = delivery_partitions(environment, destination, "attempts")
    read = [
        dynamodb.query(
            TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": partition}}
        )["Items"]
        for partition in partitions
    ]
    [cancelled] = itertools.chain(*read)
    _, owner = cancelled["sk"]["S"].split("#", 1)
    ids = [f"ffffffff{number:016x}" for number in range(2400)]
    delivered = {**cancelled, "status": {"S": "delivered"}}
    writes = [
        {"PutRequest": {"Item": {**delivered, "pk": {"S": partition}, "sk": {"S": f"{id}#{owner}"}}}}
        for id, partition in zip(ids, itertools.cycle(partitions), strict=False)
    ]
    for start in range(0, len(writes), 25):
        assert not dynamodb.batch_write_item(RequestItems={table: writes[start : start + 25]})["UnprocessedItems"]
    first = console.get(f"/destinations/{destination}/deliveries?status=cancelled&limit=20")
    assert first["data"] == []
    assert first["cursor"]

    console.sign_in(f"#/destinations/{destination}?status=cancelled")

    [row] = console.rows(1)
    assert "cancelled" in row
    assert console.find("return document.querySelector('main tbody a[title]').title") == found


def test_running_replay_is_cancelled(console: Console) -> None:
    with Receiver(500) as receiver:
        destination = console.webhook(receiver)
        fail(console, *TEXTS, destination=destination)
        console.sign_in(f"#/destinations/{destination}")
        console.click("Replay …", "pending: without waiting")
        console.click("failed: ")
        console.click("cancelled: ")
        console.click("pending: ")
        console.click("Start replay", "running")
        console.skip_until("0 of 5 delivered")
        console.click("Cancel", "The replay is cancelled.")
        console.see("cancelled")
        console.gone("running")
        console.forget()
        console.skip(60)
        # No list is updated after the end of its replays.
        assert [line for line in console.requests() if "replays" in line] == []


def test_destinations_that_are_not_loaded_are_not_said_to_be_deleted(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver, name="Support desk", filter={"blockType": ["alloy.shopify"]})
    workflow = console.workflow(console.user("joe"), "Orders")
    [sent] = console.record(workflow, "status code 403")
    [unwanted] = console.record(workflow, "timeout", blockType="alloy.slack")
    wait(lambda: console.get(f"/errors/{sent}")["deliveries"], "the error is delivered")
    console.hold("GET /destinations")
    console.sign_in(f"#/errors?error={sent}")
    console.see(f"Destination …{destination[-6:]}", "delivered")
    assert "Deleted destination" not in console.text()
    console.open(f"#/errors?error={unwanted}")
    console.browser.wait("return document.querySelector('.panel pre')?.textContent === 'timeout'")
    assert "No destinations" not in console.text()
    console.release()
    console.see("Support desk", "not sent")
    # Nor if they cannot be loaded.
    console.load()
    console.set_offline(True, "GET /destinations")
    console.sign_in(f"#/errors?error={sent}")
    console.see(f"Destination …{destination[-6:]}", "The API is unreachable.")
    console.set_offline(False)
    console.click("Try again", "Support desk")


def test_one_error_is_sent_again(console: Console, receiver: Receiver) -> None:
    destination = console.webhook(receiver, name="Support desk")
    workflow = console.workflow(console.user("joe"), "Orders")
    [error] = console.record(workflow, "status code 403")
    wait(lambda: console.get(f"/errors/{error}")["deliveries"], "the error is delivered")
    console.sign_in(f"#/errors?error={error}")
    console.see("Support desk", "delivered")
    # The page follows a replay for ten seconds of its clock.
    console.browser.run("const now = Date.now(); Date.now = () => now;")
    # A replay continues if it cannot be read for some time.
    console.forget()
    console.set_offline(True, "GET /replays")
    console.click("Send again to Support desk", "The replay has started.")
    console.browser.wait("return spy.requests.filter((line) => line.startsWith('GET /replays')).length > 1")
    console.set_offline(False)
    console.see("Replayed: 1 delivered, 0 not delivered.")
    assert receiver.ids == [error, error]
    console.environment.call("PATCH", f"/destinations/{destination}", {"filter": {"blockType": ["alloy.slack"]}})
    console.click("Send again to Support desk", "Nothing to replay: the destination does not want it.")
    assert receiver.ids == [error, error]
    console.webhook(receiver, name="Changes", events=["workflow.*"])
    console.load()
    console.sign_in(f"#/errors?error={error}")
    console.see("Changes", "not subscribed")
    assert console.find("return controlOf('Send to Changes') ?? null") is None
