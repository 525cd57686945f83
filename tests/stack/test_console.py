"""The console, `/console` of the deployed stack, in a browser: sign-in, markup, names and costs."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.error import HTTPError
from zoneinfo import ZoneInfo

import pytest
from browser import Browser
from console import MARKUP, Console
from emulator import Emulator
from receiver import Receiver
from stack import Stack
from waiting import wait

pytestmark = pytest.mark.console

STORED = "return Object.entries(sessionStorage)"


@pytest.fixture
def console(browser: Browser, emulator: Emulator, stack: Stack) -> Iterator[Console]:
    """The console, with an environment of its own."""
    with Console(browser, emulator, stack).opened() as console:
        yield console


# ------------------------------------------------------------------------------------------
# Security


def test_page_has_a_strict_content_security_policy(stack: Stack) -> None:
    with urllib.request.urlopen(f"{stack.url}/console") as page:
        headers = page.headers
    policy = headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "script-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    known = urllib.request.Request(f"{stack.url}/console", headers={"if-none-match": headers["etag"]})
    with pytest.raises(HTTPError) as answer:
        urllib.request.urlopen(known)
    assert answer.value.code == HTTPStatus.NOT_MODIFIED


def test_stored_markup_is_shown_as_text(console: Console) -> None:
    environment = console.environment
    user = console.user("joe", fullName=MARKUP, metadata={MARKUP: MARKUP})
    credential = {"type": MARKUP, "name": MARKUP, "data": {}}
    environment.call("POST", f"/users/{user}/credentials", credential, 201)
    field = {"name": "shop", "label": MARKUP, "type": "text", "help": MARKUP, "placeholder": MARKUP}
    integration = {
        "name": MARKUP,
        "description": MARKUP,
        "credentialTypes": [{"type": "shop", "name": MARKUP, "fields": [field]}],
        "settings": [{"name": "kind", "label": MARKUP, "type": "select", "options": [{"value": "a", "label": MARKUP}]}],
        "workflows": [{"key": "orders", "name": MARKUP, "description": MARKUP}],
        "hints": [{"match": MARKUP, "text": MARKUP}],
    }
    environment.call("PUT", "/integrations/markup", integration, 201)
    installation = {"credentials": {"shop": {"name": MARKUP, "data": {"shop": MARKUP}}}, "settings": {"kind": "a"}}
    workflow = environment.call("PUT", f"/users/{user}/installations/markup", installation, 201)["workflows"][0][
        "workflowId"
    ]
    # The responses of a customer's server are shown, too.
    with Receiver(500, MARKUP) as receiver:
        receiver.url += "?q=%3Cscript%3E"
        destination = console.webhook(receiver, name=MARKUP, description=MARKUP, filter={"blockType": [MARKUP]})
        [error] = console.record(workflow, MARKUP, executionId=MARKUP, blockId=MARKUP, blockType=MARKUP)
        wait(lambda: console.health(destination)["status"] == "retrying", "the delivery failed")
    [event] = [event for event in console.get("/events")["data"] if event["type"] == "workflow.created"]
    console.sign_in()
    for fragment, text in {
        "#/errors": "Affected",
        "#/errors?view=list": "Workflow",
        f"#/errors?error={error}": "Deliveries",
        "#/destinations": "retrying",
        f"#/destinations/{destination}": "Last failure",
        f"#/destinations/{destination}?view=settings": "Description",
        f"#/destinations/{destination}?error={error}": "Copy error text",
        "#/events": "workflow.created",
        f"#/events?event={event['_id']}": "Data",
        "#/integrations": "enabled",
        "#/integrations/markup": "Preview of the modal",
        "#/installations": "markup",
        "#/users": "joe",
        f"#/users/{user}": "Credentials",
        f"#/workflows/{workflow}": "Settings",
    }.items():
        console.open(fragment)
        console.browser.wait(
            "return [document.body.innerText, ...[...document.querySelectorAll('[aria-label]')].map((e) => e.ariaLabel)].join().includes(arguments[0])",
            text,
        )
        if fragment not in ("#/events", "#/installations"):
            console.see(MARKUP)
        assert console.browser.run("return document.querySelectorAll('#app img[src=x], #app script').length") == 0
    console.open(f"#/destinations/{destination}?view=settings")
    for button in ("Delete destination", "Rotate secret"):
        console.click(button, f"{MARKUP}?")
        console.click("Cancel")
    # The preview shows input as it is typed.
    console.open("#/integrations/+")
    console.fill("Name", MARKUP)
    console.see(MARKUP)
    assert console.browser.run("return document.querySelectorAll('#app img[src=x], #app script').length") == 0


# ------------------------------------------------------------------------------------------
# Sign-in


def test_sign_in_refuses_what_is_no_key_of_an_operator(console: Console) -> None:
    console.click("Sign in")
    assert console.problem("API key") == "is required"
    assert console.focused() == "API key"
    console.fill("API key", "tn_test_nonsense")
    console.click("Sign in", "must be an API key")
    assert console.requests() == []
    console.fill("API key", f" Bearer tn_test_{'0' * 49} ")
    console.click("Sign in", "The API does not accept this key.")
    console.fill("API key", console.environment.engine_key)
    console.click("Sign in", "an API key with the scope `manage` or `read` is required")
    assert console.browser.run("return document.querySelector('.console')") is None


def test_key_is_kept_in_memory_alone(console: Console) -> None:
    console.sign_in()
    for page in ("Destinations", "Events", "Integrations", "Installations", "Users", "Environment", "Errors"):
        console.click(page)
        console.browser.wait("return document.querySelector('main h1').innerText === arguments[0]", page)
        console.see("acme", "test", f"Tenon {console.get('/environment')['version']}")
    kept = console.browser.run("return [localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]
    key = console.environment.backend_key
    assert not console.browser.run("return document.documentElement.outerHTML.includes(arguments[0])", key)
    console.click("Sign out", "API key")
    console.gone("Errors")
    assert console.value("API key") == ""


def test_open_dialogs_end_with_the_session(console: Console) -> None:
    key = console.key("manage")
    console.sign_in("#/users", key)
    console.click("Create user", "Full name")
    console.fill("Username", "joe")
    console.revoke(key)
    console.click("Create user", "no longer accepts this key")
    console.sign_in("#/users")
    console.see("No users")
    console.gone("Full name")
    # The page of the sign-in has said why.
    assert console.messages() == []


def test_dialogs_end_with_the_page_that_opened_them(console: Console) -> None:
    console.sign_in("#/destinations")
    console.open("#/users")
    console.click("Create user", "Full name")
    console.browser.run("history.back()")
    console.see("No destinations")
    console.gone("Full name")


def test_back_asks_before_it_discards_what_was_entered(console: Console) -> None:
    console.sign_in("#/destinations")
    console.open("#/users")
    console.click("Create user", "Full name")
    console.fill("Username", "joe")
    console.browser.run("history.back()")
    console.see("No destinations", "Discard what you entered?")
    console.click("Keep it")
    console.gone("Discard what you entered?")
    assert console.value("Username") == "joe"
    console.click("Create user", "Created joe.")
    assert [user["username"] for user in console.get("/users")["data"]] == ["joe"]


def test_name_does_not_change_the_direction_of_the_text_around_it(console: Console) -> None:
    console.user("joe")
    console.sign_in("#/users")
    console.see("joe")
    style = "return getComputedStyle([...document.querySelectorAll('main a')].find((link) => link.innerText === 'joe'))"
    assert console.browser.run(f"{style}.unicodeBidi") == "isolate"


def test_refusal_by_a_proxy_does_not_end_the_session(console: Console) -> None:
    console.sign_in("#/users")
    console.refuse("GET /destinations")
    console.open("#/destinations")
    console.see("The API returned status 403.")
    console.refuse(None)
    console.click("Refresh", "No destinations")


def test_kept_key_that_is_malformed_leads_to_sign_in(console: Console) -> None:
    console.browser.run("sessionStorage.setItem('tenon-read-key', 'broken')")
    console.load("#/users")
    console.see("API key")
    assert console.browser.run(STORED) == []


def test_read_key_hides_everything_that_changes(console: Console) -> None:
    environment = console.environment
    user = console.user("joe")
    workflow = console.workflow(user, "Orders")
    environment.call(
        "PUT", "/integrations/shop", {"name": "Shop", "workflows": [{"key": "orders", "name": "Orders"}]}, 201
    )
    with Receiver(503) as receiver:
        destination = console.webhook(receiver)
        [error] = console.record(workflow, "status code 500")
        console.wait_for_deliveries(destination, "pending", 1)
    console.sign_in("", console.key("read"))
    console.see("read only")
    harmless = ("Copy", "Close", "Sign out", "Filters", "Custom", "Follow new errors", "Find", "Show", "Refresh")
    for fragment, text in {
        "#/errors": "status code 500",
        f"#/errors?error={error}": "Deliveries",
        "#/destinations": "retrying",
        f"#/destinations/{destination}": "Last failure",
        f"#/destinations/{destination}?view=replays": "No replays",
        f"#/destinations/{destination}?view=settings": "Webhook",
        "#/events": "workflow.created",
        "#/integrations": "Shop",
        "#/integrations/shop": "Definition",
        "#/users": "joe",
        f"#/users/{user}": "Orders",
        f"#/workflows/{workflow}": "Settings",
        "#/environment": "Embedded modal",
    }.items():
        console.open(fragment)
        console.see(text)
        console.requests()
        assert [name for name in console.controls() if not name.startswith(harmless)] == [], fragment
        assert not console.find("return visible('a').some((link) => textOf(link).startsWith('Add'))"), fragment


def test_read_key_survives_a_reload_until_sign_out(console: Console) -> None:
    console.click("Stay signed in")
    console.fill("API key", console.environment.backend_key)
    console.click("Sign in", "has the scope `manage`. Only a key with the scope `read` can be kept")
    assert console.browser.run(STORED) == []
    # It may reveal the data of credentials.
    console.fill("API key", console.key("read", "engine"))
    console.click("Sign in", "has the scope `engine`. Only a key with the scope `read` can be kept")
    assert console.browser.run(STORED) == []
    key = console.key("read")
    console.fill("API key", key)
    console.click("Sign in", "read only")
    assert console.browser.run(STORED) == [["tenon-read-key", key]]
    console.load("#/users")
    console.see("read only", "No users")
    console.click("Sign out", "API key")
    assert console.browser.run(STORED) == []
    console.load("#/users")
    console.see("API key")


def test_key_that_was_kept_before_another_one_signs_in_is_forgotten(console: Console) -> None:
    console.browser.run("sessionStorage.setItem('tenon-read-key', arguments[0])", console.key("read"))
    console.sign_in()
    assert console.browser.run("return sessionStorage.length") == 0


def test_revoked_key_leads_to_sign_in(console: Console) -> None:
    key = console.key("read")
    console.click("Stay signed in")
    console.sign_in("#/errors", key)
    console.see("Nothing failed")
    console.revoke(key)
    console.skip(15)
    console.see("The API no longer accepts this key. It may have been revoked.")
    assert console.browser.run(STORED) == []
    console.forget()
    console.skip(300)
    assert console.requests() == []
    console.sign_in()
    console.gone("It may have been revoked")


def test_kept_key_survives_a_reload_without_a_network(console: Console) -> None:
    console.click("Stay signed in")
    console.sign_in("#/users", console.key("read"))
    console.see("No users")
    with console.browser.preloaded("window.fetch = () => Promise.reject(new TypeError('offline'));"):
        console.load("#/users")
        console.see("The API is unreachable. Reload the page to sign in again.")
    console.load("#/users")
    console.see("read only", "No users")


def test_sign_in_works_without_storage(console: Console) -> None:
    block = """Object.defineProperty(window, "sessionStorage", {
        get() { throw new DOMException("The storage is blocked.", "SecurityError"); },
    });"""
    with console.browser.preloaded(block):
        console.load()
        console.click("Stay signed in")
        console.sign_in("#/users", console.key("read"))
        console.see("read only", "No users")
        console.click("Sign out", "API key")
    console.load()


# ------------------------------------------------------------------------------------------
# Names, times and copies


def test_names_are_shown_instead_of_ids_and_looked_up_once(console: Console) -> None:
    users = [console.user(f"user-{index}") for index in range(3)]
    workflows = [console.workflow(user, f"Orders {index}") for index, user in enumerate(users)]
    for workflow in workflows:
        console.record(workflow, "status code 500", "timeout")
    console.sign_in("#/errors?view=list")
    console.see("Orders 0", "Orders 1", "Orders 2", "user-0", "user-1", "user-2")
    shown = console.text()
    assert [name for name in users + workflows if name[-6:] in shown] == []
    assert len(console.requests("GET /users")) == 1
    assert len(console.requests("GET /workflows")) == 1
    console.forget()
    console.click("user-1", "Orders 1")
    console.click("Events of this user", "workflow.created")
    console.click("Errors")
    console.see("status code 500")
    assert console.requests("GET /users?") == []
    assert [line for line in console.requests("GET /workflows") if "userId" not in line] == []
    # A deleted user is looked up once.
    environment = console.environment
    environment.call("DELETE", f"/users/{users[0]}")
    console.browser.run("spy.requests.length = 0")
    console.load("#/errors?view=list")
    console.sign_in("#/errors?view=list")
    console.see("Orders 1", "deleted")
    console.click("Events", "workflow.created", "Orders 0 (deleted)")
    console.click("Errors")
    console.click("Newest first")
    console.click("Groups", "Affected")
    console.click("Newest first", "deleted")
    assert console.requests(f"GET /users/{users[0]}") == [f"GET /users/{users[0]}"]


def test_names_are_read_together_after_a_failure(console: Console) -> None:
    users = [console.user(f"user-{index}") for index in range(3)]
    for user in users:
        console.record(console.workflow(user, f"Orders of {user}"), "status code 500")
    console.sign_in("#/environment")
    console.set_offline(True, "GET /users?")
    console.open("#/errors?view=list")
    console.see("status code 500")
    wait(lambda: console.requests("GET /users?"), "the names are requested")
    console.set_offline(False)
    console.click("Groups", "Affected")
    console.click("Newest first", "user-0", "user-1", "user-2")
    assert console.requests("GET /users/") == []


def test_ids_are_copied_and_block_types_never_break(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    [error] = console.record(workflow, "status code 500", blockType="alloy.shopify-order-line-items")
    console.sign_in(f"#/errors?view=list&error={error}")
    console.click("JSON")
    for name in ("id", "error text", "block", "execution", "JSON"):
        console.click(f"Copy {name}", "Copied.")
    copied = console.browser.run("return spy.copied")
    assert copied[:4] == [error, "status code 500", "block-1", "run-1"]
    assert json.loads(copied[4])["_id"] == error
    console.browser.resize(360, 740)
    for view in ("", "&view=list", f"&error={error}"):
        console.open(f"#/errors?range=24h{view}")
        console.see("alloy.shopify-order-line-items")
        script = """return visible("code").filter(({ innerText }) => innerText.startsWith("alloy.")).map((code) => {
            const range = document.createRange();
            range.selectNodeContents(code);
            return new Set([...range.getClientRects()].map(({ top }) => top)).size;
        })"""
        assert set(console.find(script)) == {1}


def test_repeated_message_is_announced_again(console: Console) -> None:
    [error] = console.record(console.workflow(console.user("joe"), "Orders"), "status code 500")
    console.sign_in(f"#/errors?error={error}")

    def differ() -> bool:
        console.click("Copy error text", "Copied.")
        return len(set(console.messages())) > 1

    # Screen readers announce what changes. A message is gone after a while.
    wait(differ, "two messages that differ")
    assert {message.strip("\u00a0") for message in console.messages()} == {"Copied."}


def test_refused_copy_says_what_to_do(console: Console) -> None:
    console.sign_in("#/environment")
    console.browser.run("navigator.clipboard.writeText = () => Promise.reject(new Error('Write permission denied.'))")
    console.click("Copy", "The browser does not allow this page to copy.")


def test_times_are_relative_with_the_exact_time_and_zone(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    happened = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3, seconds=5)
    console.record(workflow, "status code 500", createdAt=happened.isoformat())
    console.browser.cdp("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
    try:
        console.load()
        console.sign_in("#/errors?view=list")
        console.see("3 hr. ago")
        title = console.browser.run("return document.querySelector('main td time').title")
    finally:
        console.browser.cdp("Emulation.setTimezoneOverride", timezoneId="")
    local = happened.astimezone(ZoneInfo("Europe/Berlin"))
    assert f"{local:%-I:%M:%S}" in title
    assert "Central European" in title
    assert f"{happened:%Y-%m-%dT%H:%M:%S}.000Z" in title


# ------------------------------------------------------------------------------------------
# Cost of watching


def test_errors_page_is_painted_after_three_requests(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    console.record(workflow, "status code 500")
    console.sign_in()
    console.see("status code 500")
    # Names are looked up, and updates are polled, after the page is painted.
    requests = [line.split("?")[0] for line in console.requests()]
    first = [line for line in requests if line not in ("GET /users", "GET /workflows")][:3]
    assert sorted(first) == ["GET /destinations", "GET /environment", "GET /errors/groups"]
    assert set(requests) <= {*first, "GET /users", "GET /workflows", "GET /logs"}


@pytest.mark.parametrize("page", ["errors", "error", "destination"])
def test_idle_watching_costs_at_most_six_requests_a_minute(console: Console, page: str) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    with Receiver() as receiver:
        destination = console.webhook(receiver)
        [error, *_] = console.record(workflow, *(f"status code 500 of order {index}" for index in range(100)))
        wait(lambda: len(receiver.ids) == 100, "all are delivered")
        wait(lambda: console.get(f"/errors/{error}")["deliveries"], "the delivery is recorded")
        wait(lambda: console.health(destination)["lastSuccessAt"], "the health is recorded")
    fragment, text = {
        "errors": ("#/errors?view=list", "Follow"),
        "error": (f"#/errors?error={error}", "delivered"),
        "destination": (f"#/destinations/{destination}", "Last delivery"),
    }[page]
    console.sign_in(fragment)
    console.see("Live") if page == "errors" else console.see(text)
    console.forget()
    for _ in range(3):
        console.skip(60)
        assert 1 <= len(console.requests()) <= 6
        received = console.browser.run(
            "return performance.getEntriesByType('resource').reduce((sum, entry) => sum + entry.transferSize, 0)"
        )
        assert 0 < received <= 20_000
        console.forget()
    # A page that is not visible asks for nothing.
    console.browser.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    console.skip(120)
    assert console.requests() == []
    console.browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    console.browser.wait("return spy.requests.length > 0")
