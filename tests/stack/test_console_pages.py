"""Users, installations, integrations, events and settings in the console, and its looks."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import customer
import pytest
from browser import ESCAPE, Browser
from console import LOOKS, Console
from deployed import Environment
from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from paths import ROOT
from receiver import Receiver
from stack import Stack
from tenon import Api
from waiting import wait

pytestmark = pytest.mark.console

SHOP: dict[str, Any] = {
    "name": "Shop",
    "description": "Sends every new order to your shop.",
    "credentialTypes": [
        {
            "type": "shop",
            "name": "Shop account",
            "fields": [{"name": "token", "label": "Access token", "type": "secret", "required": True}],
        }
    ],
    "settings": [{"name": "batch", "label": "Orders per run", "type": "number"}],
    "workflows": [{"key": "orders", "name": "Shop orders"}, {"key": "stock", "name": "Stock levels"}],
}
ACCOUNT = {"credentials": {"shop": {"name": "Acme account", "data": {"token": "shpat_1"}}}, "settings": {}}


@pytest.fixture
def console(browser: Browser, emulator: Emulator, stack: Stack) -> Iterator[Console]:
    """The console, with an environment of its own."""
    with Console(browser, emulator, stack).opened() as console:
        yield console


def install(console: Console, user: str) -> dict[str, Any]:
    """Installs the shop for a user, and returns the installation."""
    console.environment.backend.call("PUT", "/integrations/shop", SHOP)
    return console.environment.call("PUT", f"/users/{user}/installations/shop", ACCOUNT, 201)


def break_account(console: Console, user: str, installation: dict[str, Any], reason: str) -> None:
    """Marks the credential of an installation as invalid."""
    path = f"/users/{user}/credentials/{installation['credentialIds']['shop']}/status"
    console.environment.call("POST", path, {"status": "invalid", "reason": reason})


# ------------------------------------------------------------------------------------------
# Users


def test_user_is_created_found_disabled_and_deleted(console: Console) -> None:
    console.sign_in("#/users")
    console.see("No users")
    console.click("Create user", "Full name")
    console.fill("Email", "not an address")
    console.click("Create user")
    assert console.problem("Email") == "must be an email address such as joe@example.com"
    assert console.focused() == "Email"
    console.fill("Email", "joe@acme.example")
    console.fill("Username", "joe")
    console.click("Create user", "Created joe.", "joe@acme.example")
    user = console.get("/users/joe")["userId"]
    installation = install(console, user)
    break_account(console, user, installation, "the shop refuses the token")
    console.click("Users")
    console.fill("Find a user", "nobody@acme.example")
    console.click("Find", "User not found.")
    console.fill("Find a user", "JOE@ACME.example")
    console.click("Find", "Shop orders", "Stock levels")
    console.see("Acme account", "invalid", "the shop refuses the token", "needs attention")
    console.click("Disable", "Disable joe?", "Its data is kept")
    console.click("Disable", "Disabled joe.")
    assert console.get("/users/joe")["status"] == "disabled"
    console.see("inactive")
    console.click("Enable", "Enabled joe.")
    assert console.get("/users/joe")["status"] == "active"
    console.click("Uninstall shop", "Uninstall shop?", "nothing else uses")
    console.click("Uninstall", "Uninstalled shop.", "This user has installed nothing.", "No workflows")
    assert console.get(f"/users/{user}/installations")["data"] == []
    own = {"type": "shop", "name": "Own account", "data": {}}
    credential = console.environment.call("POST", f"/users/{user}/credentials", own, 201)["credentialId"]
    console.click("Refresh", "Own account")
    console.click(f"Delete Own account {credential}", "Delete Own account?", f"The data of {credential}")
    console.click("Delete credential", "Deleted Own account.", "No credentials")
    assert console.get(f"/users/{user}/credentials")["data"] == []
    console.click("Delete", "Delete joe?", "with all installations, workflows and credentials", "cannot be undone")
    console.click("Cancel")
    assert console.get("/users/joe")
    console.click("Delete", "Delete joe?")
    console.click("Delete user", "Deleted joe.", "User not found")
    console.environment.call("GET", "/users/joe", status=404)


def test_metadata_of_a_user_is_not_taken_for_its_own_fields(console: Console) -> None:
    user = console.user("joe", email="joe@acme.example", metadata={"Email": "ann@acme.example"})
    console.sign_in(f"#/users/{user}")
    console.see("joe@acme.example")
    assert "ann@acme.example" not in console.text()
    console.click("Metadata", '"Email": "ann@acme.example"')


def test_user_is_edited_without_undoing_a_change_by_someone_else(console: Console) -> None:
    user = console.user("joe", email="joe@acme.example", fullName="Joe")
    console.sign_in(f"#/users/{user}")
    console.click("Edit", "Edit joe")
    console.fill("Username", "")
    console.click("Save")
    assert console.problem("Username") == "is required"
    console.fill("Username", "joe.smith")
    console.gone("is required")
    console.fill("Full name", "")
    console.environment.call("PATCH", f"/users/{user}", {"email": "smith@acme.example"})
    console.click("Save", "Saved.", "joe.smith", "smith@acme.example")
    changed = console.get(f"/users/{user}")
    assert (changed["username"], changed["email"], changed["fullName"]) == ("joe.smith", "smith@acme.example", None)
    console.user("ann")
    console.click("Edit", "Edit joe.smith")
    console.fill("Username", "ann")
    console.click("Save")
    assert console.problem("Username") == "is already in use"
    # A username that is an email address does not replace the email unseen.
    console.fill("Username", "joe@acme.example")
    console.click("Save")
    assert console.problem("Username")
    assert console.get(f"/users/{user}")["email"] == "smith@acme.example"
    console.click("Cancel")


def test_user_is_edited_once_whatever_response_is_lost(console: Console) -> None:
    user = console.user("joe")
    console.sign_in("#/users/joe")
    console.click("Edit", "Edit joe")
    console.fill("Full name", "Joe")
    console.cut("PATCH /users")
    console.click("Save", "The API is unreachable.")
    console.cut(None)
    assert console.get(f"/users/{user}")["fullName"] == "Joe"
    console.fill("Full name", "")
    console.fill("Username", "joe.smith")
    console.click("Save", "Saved.", "joe.smith")
    assert console.get(f"/users/{user}")["fullName"] is None
    assert console.fragment() == f"#/users/{user}"


def test_install_link_is_created_for_an_enabled_integration(console: Console) -> None:
    user = console.user("joe", fullName="Joe Smith")
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    console.environment.call("PUT", "/integrations/retired", {**SHOP, "name": "Retired", "enabled": False}, 201)
    console.sign_in(f"#/users/{user}")
    console.click("Create install link", "without a login")
    assert console.browser.run(
        "return [...document.querySelector('[name=integration]').options].map((o) => o.text)"
    ) == ["Shop"]
    console.click("Create link", "The link works once", "send it to this user only")
    console.click("Copy link", "Copied.")
    link = console.browser.run("return spy.copied.at(-1)")
    console.click("Done")
    assert link not in console.browser.run("return document.documentElement.outerHTML")
    ticket = link.partition("#ticket=")[2]
    token = console.environment.call("POST", "/tickets", {"ticket": ticket})["token"]
    session = Api(console.environment.backend.url, token).call("GET", "/session").body
    assert session["user"]["userId"] == user
    console.click("Disable", "Disable joe?")
    console.click("Disable", "Disabled joe.")
    console.gone("Create install link")


def test_install_link_needs_an_enabled_integration(console: Console) -> None:
    console.sign_in(f"#/users/{console.user('joe')}")
    console.click("Create install link", "No integration is enabled.")


def test_late_response_does_not_lead_away_from_another_page(console: Console) -> None:
    user = console.user("late")
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    console.sign_in("#/users")
    console.fill("Find a user", "late")
    console.hold("GET /users/late")
    console.click("Find")
    console.wait_held()
    console.open("#/installations")
    console.release()
    console.requests()
    assert console.fragment() == "#/installations"
    console.open("#/environment")
    console.hold("GET /environment")
    console.click("Edit")
    console.wait_held()
    console.open("#/users")
    console.release()
    console.requests()
    assert console.browser.run("return document.querySelector('dialog')") is None
    # A link that is not shown can be created again.
    console.open(f"#/users/{user}")
    console.click("Create install link", "without a login")
    console.hold(f"GET /users/{user}/integrations")
    console.click("Create link")
    console.wait_held()
    console.open("#/installations")
    console.release()
    console.requests()
    assert console.browser.run("return document.querySelector('dialog')") is None


def test_question_that_is_answered_returns_the_focus_to_the_field(console: Console) -> None:
    console.sign_in("#/users")
    console.click("Create user")
    console.fill("Username", "joe")
    console.click("Close", "Discard what you entered?")
    console.click("Keep it")
    wait(lambda: console.focused() == "Username", "the field has the focus")
    console.gone("Discard what you entered?")
    assert (console.focused(), console.value("Username")) == ("Username", "joe")


def test_users_are_listed_by_status_and_page(console: Console) -> None:
    names = [f"user-{index:02}" for index in range(55)]
    body = {"users": [{"username": name} for name in names]}
    console.environment.call("POST", "/users/batch", body)
    console.environment.call("POST", "/users/user-07/disable")
    console.sign_in("#/users")
    console.see("user-")
    first = console.rows(50)
    console.click("Older users")
    shown = {row.split()[0] for row in first + console.rows(5)}
    assert shown == set(names)
    console.click("Newest")
    console.choose("Status", "Disabled")
    console.rows(1)
    console.see("user-07")
    assert console.parameters() == {"status": "disabled"}


def test_workflow_is_switched_and_leads_to_its_errors(console: Console) -> None:
    workflow = console.workflow(console.user("joe"), "Orders")
    console.record(workflow, "status code 500")
    console.sign_in("#/users")
    console.click("joe", "Workflows")
    console.click("Orders", "Settings", "active")
    console.click("Deactivate", "Deactivated Orders.", "inactive")
    assert not console.get(f"/workflows/{workflow}")["active"]
    console.click("Activate", "Activated Orders.")
    console.click("Events of this workflow", "workflow.deactivated", "workflow.activated")
    console.browser.run("history.back()")
    console.click("Errors of this workflow", "status code 500")
    assert console.parameters() == {"view": "list", "workflowId": workflow, "range": "7d"}


def test_workflow_of_a_disabled_user_is_not_said_to_be_active(console: Console) -> None:
    user = console.user("joe")
    workflow = console.workflow(user, "Orders")
    console.environment.call("PUT", "/workflows/deactivate", {"userId": user, "workflowId": workflow})
    console.environment.call("POST", f"/users/{user}/disable")
    console.sign_in(f"#/workflows/{workflow}")
    console.click("Activate", "it becomes active when the user is enabled.")
    console.environment.call("POST", f"/users/{user}/enable")
    console.click("Refresh", "Refreshed.", "Deactivate")


def test_numbers_are_shown_as_they_were_written(console: Console) -> None:
    settings = {"shopId": 12345678901234567890, "rate": 0.5}
    body = {"userId": console.user("joe"), "name": "Orders", "settings": settings}
    workflow = console.environment.call("POST", "/workflows", body, 201)["workflowId"]
    console.sign_in(f"#/workflows/{workflow}")
    console.see("12345678901234567890", "0.5")
    console.click("Copy Settings")
    assert "12345678901234567890" in console.browser.run("return spy.copied.at(-1)")


def test_errors_of_a_user_are_erased_after_a_question(console: Console) -> None:
    user = console.user("joe")
    console.record(console.workflow(user, "Orders"), "a secret of joe")
    console.sign_in(f"#/users/{user}")
    console.click("Erase errors", "This cannot be undone.")
    console.click("Erase errors", "are being erased.")
    wait(lambda: not console.get("/logs")["errors"], "they are erased")


def test_errors_and_events_of_a_deleted_user_are_erased_on_its_page(console: Console) -> None:
    user = console.user("joe")
    console.record(console.workflow(user, "Orders"), "a secret of joe")
    console.sign_in("#/users/joe")
    console.click("Delete", "Delete joe?", "you can erase them on this page")
    console.click("Delete user", "Deleted joe.", "User not found", "It may have been deleted.")
    assert console.fragment() == f"#/users/{user}"
    console.click("Errors of this user", "a secret of joe")
    console.browser.run("history.back()")
    console.click("Erase errors and events", f"Erase the errors and events of {user}?")
    console.click("Erase errors", "are being erased.")

    def is_erased() -> bool:
        events = console.get("/events")["data"]
        return not console.get("/logs")["errors"] and {event["type"] for event in events} == {"user.deleted"}

    wait(is_erased, "only the receipt is left")


def test_what_someone_else_has_deleted_can_be_deleted(console: Console) -> None:
    call = console.environment.call
    user = console.user("joe")
    install(console, user)
    own = {"type": "shop", "name": "Own account", "data": {}}
    credential = call("POST", f"/users/{user}/credentials", own, 201)["credentialId"]
    console.sign_in(f"#/users/{user}")
    console.see("Own account", "Shop orders")
    call("DELETE", f"/users/{user}/installations/shop")
    console.click("Uninstall shop", "Uninstall shop?")
    console.click("Uninstall", "Uninstalled shop.", "This user has installed nothing.")
    call("DELETE", f"/users/{user}/credentials/{credential}")
    console.click(f"Delete Own account {credential}", "Delete Own account?")
    console.click("Delete credential", "Deleted Own account.", "No credentials")
    call("DELETE", f"/users/{user}")
    console.click("Delete", "Delete joe?")
    console.click("Delete user", "Deleted joe.", "User not found")
    console.open("#/integrations/shop")
    console.see("version 1")
    call("DELETE", "/integrations/shop")
    console.click("Delete", "Delete Shop?")
    console.click("Delete integration", "Shop is deleted.", "No integrations")
    with Receiver() as receiver:
        destination = console.webhook(receiver, name="Support desk")
        console.open(f"#/destinations/{destination}?view=settings")
        console.click("Delete destination", "Delete Support desk?")
        call("DELETE", f"/destinations/{destination}")
        console.click("Delete destination", "Support desk is deleted.", "No destinations")


# ------------------------------------------------------------------------------------------
# Installations and integrations


def test_installations_say_what_needs_attention(console: Console) -> None:
    joe, ann = console.user("joe"), console.user("ann")
    break_account(console, joe, install(console, joe), "401 from the shop")
    install(console, ann)
    console.sign_in("#/installations")
    console.see("joe", "ann", "needs attention", "active", "Shop orders")
    [broken] = [row for row in console.rows(2) if "joe" in row]
    attention = console.get(f"/users/{joe}/installations/shop")["attention"]
    assert attention
    assert all(item["detail"] in broken for item in attention)
    console.choose("Status", "Needs attention")
    console.gone("ann")
    assert console.parameters() == {"status": "needs-attention"}
    console.choose("Status", "Inactive")
    console.see("No installation matches.")
    console.choose("Status", "All")
    console.hold("GET /integrations")
    console.find("fieldOf('Integration').focus()")
    console.browser.wait("return [...document.querySelectorAll('option')].some(({ text }) => text === 'Loading…')")
    console.release()
    console.browser.wait("return [...document.querySelectorAll('option')].some(({ value }) => value === 'shop')")
    console.choose("Integration", "Shop")
    console.rows(2)
    console.click("shop", "Definition")
    console.browser.run("document.querySelector('main a[href*=installations]').click()")
    console.rows(2)
    assert console.parameters() == {"integrationId": "shop"}
    console.click("joe", "Acme account", "401 from the shop")


def test_integration_is_created_and_edited_with_a_preview(console: Console) -> None:
    definition = {name: SHOP[name] for name in ("credentialTypes", "settings", "workflows")}
    label = "Credentials, settings, workflows and hints (JSON)"
    console.sign_in("#/integrations")
    console.see("No integrations")
    console.click("Add integration", "Preview of the modal")
    console.click("Save")
    assert console.problem("Id") == "is required"
    assert console.problem("Name") == "is required"
    console.fill("Id", "shop")
    console.fill("Name", "Shop")
    console.fill("Description", "Sends orders")
    preview = "return document.querySelector('.preview').innerText"
    assert "Shop" in console.browser.run(preview)
    assert "Sends orders" in console.browser.run(preview)
    console.fill(label, json.dumps(definition))
    console.browser.wait("return document.querySelector('.preview').innerText.includes('Orders per run')")
    # The preview keeps what was valid.
    for text, problem in (("{", "is not valid JSON"), ("[]", "must be an object")):
        console.fill(label, text)
        console.see(problem)
        assert "Orders per run" in console.browser.run(preview)
    console.fill(label, "{")
    console.click("Save")
    assert "is not valid JSON" in console.problem(label)
    assert console.text().count("is not valid JSON") == 1
    console.browser.wait("return document.activeElement.name === 'definition'")
    # A draft is kept as it is.
    console.click("Users", "No users")
    console.click("Integrations", "Add integration")
    console.click("Add integration", "not valid JSON")
    assert (console.value("Id"), console.value(label)) == ("shop", "{")
    console.click("Discard changes")
    console.gone("not valid JSON", "Discard changes")
    assert (console.value("Id"), console.value("Name")) == ("", "")
    console.fill("Id", "shop")
    console.fill("Name", "Shop")
    console.fill("Description", "Sends orders")
    wrong = {
        **definition,
        "workflows": [{"key": "orders"}],
        "hint": [],
        # A member that has a field is shown there.
        "description": "Sends all orders",
        "settings": [{"name": "batch", "label": "x", "type": "date"}],
    }
    console.fill(label, json.dumps(wrong))
    console.gone("not valid JSON")
    assert console.value("Description") == "Sends all orders"
    console.fill("Description", "Sends orders")
    console.click("Save", "hint: ", "workflows/0/name: is required", "settings/0/type: must be")
    assert console.focused() == label
    console.environment.call("GET", "/integrations/shop", status=404)
    console.fill(label, json.dumps(definition))
    console.click("Save", "Saved.", "version 1")
    saved = console.get("/integrations/shop")
    assert (saved["workflows"][0]["name"], saved["description"]) == ("Shop orders", "Sends orders")
    console.fill("Name", "Shop 2")
    console.browser.wait("return document.querySelector('.preview').innerText.includes('Shop 2')")
    console.click("Enabled: users can install it")
    console.click("Save", "Saved.", "version 2")
    saved = console.get("/integrations/shop")
    assert (saved["name"], saved["enabled"], saved["description"]) == ("Shop 2", False, "Sends orders")
    console.click("Integrations", "Shop 2", "disabled")
    console.click("Shop 2", "version 2")
    console.click("Delete", "Delete Shop 2?", "2 workflows", "keep running")
    console.click("Delete integration", "Shop 2 is deleted.", "No integrations")
    console.environment.call("GET", "/integrations/shop", status=404)


def test_draft_of_an_integration_is_neither_lost_nor_replaces_another_change_unasked(console: Console) -> None:
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    console.sign_in("#/integrations/shop")
    console.see("version 1")
    console.fill("Name", "My shop")
    console.environment.call("PUT", "/integrations/shop", {**SHOP, "name": "Their shop"})
    console.click("Save", "Someone else has saved version 2 meanwhile.")
    assert console.value("Name") == "My shop"
    console.click("Sign out", "Changes of integrations are not saved.")
    console.click("Cancel")
    assert console.value("Name") == "My shop"
    console.click("Save", "Saved.", "version 3")
    assert console.get("/integrations/shop")["name"] == "My shop"
    console.fill("Name", "Other")
    console.click("Sign out", "Discard your changes?")
    console.click("Discard and sign out", "Sign in with an API key")


def test_draft_survives_a_revoked_key_but_not_another_environment(console: Console) -> None:
    other = Environment(console.emulator, console.stack)
    for environment in (console.environment, other):
        environment.call("PUT", "/integrations/shop", SHOP, 201)
    key = console.key("manage")
    console.sign_in("#/integrations/shop", key)
    console.fill("Name", "My shop")
    console.revoke(key)
    console.click("Save", "The API no longer accepts this key.")
    console.sign_in("#/integrations/shop")
    console.see("Discard changes")
    assert console.value("Name") == "My shop"
    console.browser.run("spy.scheme = 'Basic'")
    console.click("Save", "The API no longer accepts this key.")
    console.browser.run("spy.scheme = null")
    console.sign_in("#/integrations/shop", other.backend_key)
    console.see("version 1")
    assert console.value("Name") == "Shop"
    console.gone("Discard changes")


def test_integration_is_saved_once_whatever_response_is_lost(console: Console) -> None:
    console.sign_in("#/integrations/+")
    console.fill("Id", "shop")
    console.fill("Name", "Shop")
    console.open("#/integrations")
    console.see("not saved")
    console.click("Add integration")
    for name, version in (("Shop", 1), ("Shop 2", 2)):
        console.fill("Name", name)
        console.cut("PUT /integrations/shop")
        console.click("Save", "The API is unreachable.")
        console.cut(None)
        console.click("Save", "Saved.", f"version {version}")
        assert console.get("/integrations/shop")["version"] == version
    console.open("#/integrations")
    console.see("Shop 2")
    assert "not saved" not in console.text()
    # Another integration that someone else has saved is not taken for the same.
    console.open("#/integrations/+")
    console.fill("Id", "other")
    console.fill("Name", "Other")
    console.set_offline(True, "PUT /integrations/other")
    console.click("Save", "The API is unreachable.")
    console.set_offline(False)
    console.environment.call("PUT", "/integrations/other", SHOP, 201)
    console.click("Save")
    assert console.problem("Id") == "exists already"
    console.click("Discard changes")


def test_preview_shows_what_the_modal_would_show(console: Console) -> None:
    field = {"label": "Field", "type": "text"}
    fields = [{"name": f"field{number}", **field} for number in range(9)]
    small = {**SHOP, "settings": [], "credentialTypes": [], "workflows": SHOP["workflows"][:1]}
    console.environment.call("PUT", "/integrations/small", small, 201)
    console.environment.call("PUT", "/integrations/large", {**small, "settings": fields}, 201)
    console.sign_in("#/integrations/large")
    console.see("Preview of the modal", "one after the other")
    console.open("#/integrations/small")
    console.gone("one after the other", "Settings")
    legends = "return [...document.querySelectorAll('.preview legend')].map(({ textContent }) => textContent)"
    assert console.browser.run(legends) == [], "a single workflow is not offered for choice"


def test_preview_has_the_default_colors_of_the_modal(console: Console) -> None:
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    styles = (ROOT / "functions/src/api/modal/style.css").read_text()
    light, dark = re.findall(r":root.*?\{(.*?)\}", styles, re.DOTALL)[:2]
    shown = """const preview = getComputedStyle(document.querySelector(".preview"));
        const names = { "--text": "--foreground", "--muted-text": "--quiet" };
        return arguments[0].map(([name, color]) => [name, preview.getPropertyValue(names[name] ?? name), color]);"""
    compared = ("--accent", "--on-accent", "--background", "--text", "--muted-text", "--border")
    for scheme, palette in (("light", light), ("dark", dark)):
        console.environment.call("PATCH", "/environment", {"modal": {"theme": scheme}})
        console.load()
        console.sign_in("#/integrations/shop")
        console.see("Preview of the modal")
        colors = [found for found in re.findall(r"(--[a-z-]+): (#\w+);", palette) if found[0] in compared]
        assert len(colors) == len(compared)
        for name, actual, expected in console.browser.run(shown, colors):
            assert actual == expected, (scheme, name)


def test_icon_of_an_integration_is_a_small_file(console: Console) -> None:
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    console.sign_in("#/integrations/shop")
    console.see("Preview of the modal")
    give = """const file = new File([arguments[0]], "icon.svg", { type: "image/svg+xml" });
        const transfer = new DataTransfer();
        transfer.items.add(file);
        const input = document.querySelector("input[type=file]");
        input.files = transfer.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));"""
    console.browser.run(give, "x" * 20_000)
    console.see("The icon is too large")
    console.browser.run(give, '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    console.browser.wait("return document.querySelector('.preview img.app-icon')?.naturalWidth === 9")
    console.click("Save", "version 2")
    assert console.get("/integrations/shop")["icon"].startswith("data:image/svg+xml;base64,")
    console.click("Remove icon")
    console.click("Save", "version 3")
    assert console.get("/integrations/shop")["icon"] is None


# ------------------------------------------------------------------------------------------
# Events and the environment


def test_events_say_who_changed_what(console: Console) -> None:
    environment = console.environment
    environment.call("PUT", "/integrations/shop", SHOP, 201)
    joe = console.user("joe")
    token = environment.call("POST", f"/users/{joe}/token", {})["token"]
    by_user = Api(environment.backend.url, token)
    assert by_user.call("PUT", f"/users/{joe}/installations/shop", ACCOUNT).status == 201
    console.workflow(console.user("ann"), "Returns")
    [key] = {event["actor"]["keyId"] for event in console.get("/events")["data"] if "keyId" in event["actor"]}
    console.sign_in("#/events")
    console.see("installation.created", "credential.created", "workflow.created", "Returns", "joe\tjoe", "ann")
    for row in console.rows(5):
        if "installation.created" in row:
            assert row.endswith("joe joe")
        if "Returns" in row:
            assert row.endswith(f"ann API key …{key[-6:]}")
    console.choose("Type", "installation.created")
    console.rows(1)
    console.click("installation.created", "Data", "By", "Integration", '"integrationId": "shop"')
    assert console.parameters().keys() == {"type", "event"}
    console.click("Close")
    console.click("Clear filters", "Returns")
    console.fill("User", "ann")
    console.rows(1)
    console.see("Returns")
    assert console.parameters() == {"userId": "ann"}
    console.fill("User", "nobody")
    console.see("userId: must be the id")
    console.rows(0)
    console.click("Clear filters", "Returns")
    console.fill("Event", console.get("/events")["data"][0]["_id"])
    console.see("Happened")


def test_defaults_of_the_modal_are_edited(console: Console) -> None:
    console.sign_in("#/environment")
    console.click("Edit", "Origins of the pages")
    console.fill("Origins of the pages that may embed it, one on each line", "https://app.acme.example/path")
    console.click("Save")
    assert console.problem("Origins of the pages that may embed it, one on each line")
    console.fill(
        "Origins of the pages that may embed it, one on each line", "https://app.acme.example\nhttps://b.example"
    )
    console.choose("Theme", "Dark")
    console.choose("Language", "Deutsch")
    console.click("Save", "Saved.", "https://b.example")
    modal = console.get("/environment")["modal"]
    assert modal == {"origins": ["https://app.acme.example", "https://b.example"], "theme": "dark", "lang": "de"}
    console.click("Edit", "Origins of the pages")
    assert console.value("Theme") == "dark"
    assert "Own colors (JSON)" not in console.text()
    console.choose("Theme", "Own colors")
    console.click("Save")
    assert console.problem("Own colors (JSON)") == "is required"
    console.fill("Own colors (JSON)", "{")
    console.click("Save")
    assert "is not valid JSON" in console.problem("Own colors (JSON)")
    console.fill("Own colors (JSON)", '{"light": {"accent": "blue"}}')
    console.click("Save", "light/accent: ")
    assert console.focused() == "Own colors (JSON)"
    console.fill("Own colors (JSON)", '{"light": {"accent": "#0b5cad"}}')
    console.choose("Language", "That of the browser")
    console.click("Save", "Saved.", "own colors")
    modal = console.get("/environment")["modal"]
    assert (modal["theme"]["light"]["accent"], modal["lang"]) == ("#0b5cad", None)
    # The preview of an integration has the colors of the environment.
    console.environment.call("PUT", "/integrations/shop", SHOP, 201)
    console.open("#/integrations/shop")
    console.see("Preview of the modal")
    color = console.browser.run("return getComputedStyle(document.querySelector('.preview .primary')).backgroundColor")
    assert color == "rgb(11, 92, 173)"
    console.open("#/environment")
    console.click("Edit", "Own colors (JSON)")
    console.choose("Theme", "Dark")
    console.click("Save", "Saved.")
    assert console.get("/environment")["modal"]["theme"] == "dark"


# ------------------------------------------------------------------------------------------
# Frame and looks


def test_navigation_moves_the_focus_and_names_the_page(console: Console) -> None:
    console.user("joe")
    console.sign_in()
    for page in ("Destinations", "Users", "Errors"):
        console.click(page)
        console.browser.wait("return document.title === arguments[0]", f"{page} · Tenon console")
        console.browser.wait("return document.activeElement.innerText === arguments[0]", page)
        assert console.find("return named('nav a', arguments[0]).ariaCurrent", page) == "page"
    console.click("Users")
    console.click("Create user", "Full name")
    assert console.focused() == "Email"
    console.click("Cancel")
    console.browser.wait("return document.activeElement.innerText === 'Create user'")
    # On a phone, the navigation is a menu.
    console.browser.resize(360, 740)
    assert console.browser.run("return document.querySelector('header').getBoundingClientRect().height") <= 64
    assert not console.find("return visible('nav a').some((link) => textOf(link) === 'Events')")
    is_open = "return visible('nav a').some((link) => textOf(link) === 'Users')"
    console.click("Menu")
    console.click("Events", "No events")
    assert not console.find(is_open)
    # The link of the present page closes it too, and so does Escape.
    console.click("Menu")
    console.click("Events")
    wait(lambda: not console.find(is_open), "the menu is closed")
    console.click("Menu")
    console.browser.press(ESCAPE)
    wait(lambda: not console.find(is_open), "the menu is closed")
    assert console.browser.run("return document.activeElement.ariaLabel") == "Menu"


def test_unknown_addresses_lead_to_known_ones(console: Console) -> None:
    console.sign_in("#/nope")
    for page in ("nope", "workflows", "constructor"):
        console.open(f"#/{page}")
        console.see("Page not found")
        console.click("Go to Errors", "Nothing failed")
    for parameter in ("range=99y", "range=constructor", "since=foo", "since=1", "until=foo"):
        console.open("#/environment")
        console.see("Embedded modal")
        console.forget()
        console.open(f"#/errors?{parameter}&view=list")
        [line] = console.requests("GET /errors/groups")
        since = datetime.fromisoformat(parse_qs(line.partition("?")[2])["since"][0])
        assert timedelta(hours=23) < datetime.now(UTC) - since < timedelta(hours=25), parameter
        assert console.find("return named('a', '24 h').ariaCurrent") == "true", parameter
        console.gone("must be")


def test_back_returns_to_where_a_list_was_left(console: Console) -> None:
    body = {"users": [{"username": f"user-{index:02}"} for index in range(50)]}
    console.environment.call("POST", "/users/batch", body)
    console.sign_in("#/users")
    rows = console.rows(50)
    user = rows[30].split()[0]
    script = "named('a', arguments[0]).scrollIntoView({ block: 'center' }); return scrollY"
    left = console.find(script, user)
    assert left > 500
    console.click(user, "Workflows")
    # Another page begins at its top.
    console.browser.wait("return scrollY === 0")
    console.browser.run("history.back()")
    console.rows(50)
    console.browser.wait("return scrollY === arguments[0]", left)
    console.browser.run("history.forward()")
    console.see("Workflows")
    console.click("Users")
    console.rows(50)
    # A link is no return.
    console.browser.wait("return scrollY === 0")
    console.browser.run("history.go(-2)")
    console.browser.wait("return scrollY === arguments[0]", left)


def test_lists_without_a_match_do_not_claim_that_there_is_nothing(console: Console) -> None:
    console.user("joe")
    console.sign_in("#/users?status=disabled")
    console.click("Show all users", "joe")
    console.open("#/events?type=user.deleted")
    console.see("No event in this time range matches the filters.")
    for view in ("groups", "list"):
        console.open(f"#/errors?view={view}&blockType=alloy.shopify&status=401")
        console.see("No error in this time range matches the filters.")
    # On a phone, the filters are folded.
    console.browser.resize(360, 740)
    console.see("Filters (2)")


def test_fields_of_a_time_range_do_not_overlap(console: Console) -> None:
    console.sign_in("#/errors")
    console.click("Custom", "Until")
    wait(lambda: console.focused() == "Since", "the first field has the focus")
    for width in (1280, 1000, 700, 360):
        console.browser.resize(width, 900)
        boxes = "return visible('[type=datetime-local]').map((input) => input.getBoundingClientRect())"
        first, second = console.find(boxes)
        assert first["right"] <= second["left"] or first["bottom"] <= second["top"], width
        fits = "return visible('[type=datetime-local]').every((input) => input.scrollWidth <= input.clientWidth)"
        assert console.find(fits), width
    console.browser.press(ESCAPE)
    console.gone("Until")
    assert console.focused() == "Custom"


def test_time_range_names_its_zone_and_refuses_years_with_five_digits(console: Console) -> None:
    console.browser.cdp("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    try:
        console.load()
        console.sign_in("#/errors")
        for field in ("Since", "Until"):
            console.click("Custom", "Times in GMT+9")
            assert console.find("return fieldOf(arguments[0]).max", field) == "9999-12-31T23:59"
            # A browser may allow it nevertheless.
            console.fill(field, "12345-01-01T00:00:00")
            console.click("Show", "Enter a year with four digits.")
            console.browser.press(ESCAPE)
            console.gone("Until")
        assert console.parameters() == {}
    finally:
        console.browser.cdp("Emulation.setTimezoneOverride", timezoneId="")


def test_cells_of_a_narrow_table_keep_their_headers(console: Console) -> None:
    console.user("joe", fullName="Joe")
    console.sign_in("#/users")
    console.see("Joe")
    console.browser.resize(360, 740)
    nodes = {node["nodeId"]: node for node in console.browser.cdp("Accessibility.getFullAXTree")["nodes"]}

    def roles(node: dict[str, Any]) -> list[str]:
        return [nodes[child].get("role", {}).get("value") for child in node["childIds"]]

    rows = [roles(node) for node in nodes.values() if node.get("role", {}).get("value") == "row"]
    assert sorted(rows) == [["cell"] * 5, ["columnheader"] * 5]


def test_links_of_tables_look_like_links_but_errors_like_text(console: Console) -> None:
    console.record(console.workflow(console.user("joe"), "Orders"), "status code 500")
    console.sign_in("#/users")
    color = "return getComputedStyle(named(...arguments)).color"
    console.see("joe")
    link = console.find(color, "a", "joe")
    console.open("#/errors?view=list")
    console.see("joe", "Orders")
    assert link == console.find(color, "td a", "joe")
    text = console.find(color, "h1", "Errors")
    assert console.find(color, "a", "status code 500") == text != link


LONG = "A_very_long_name_without_any_space_" * 3


def test_every_page_and_dialog_is_accessible_at_every_width(console: Console, emulator: Emulator) -> None:
    environment = console.environment
    console.check_view("sign-in")
    console.click("Sign in", "is required")
    console.check_view("sign-in with a problem")
    shop = {**SHOP, "name": LONG[:100], "description": "Description " * 20}
    environment.call("PUT", "/integrations/shop", shop, 201)
    joe = console.user(LONG[:120], fullName="Joe " * 20, metadata={"plan": "gold"})
    installed = environment.call("PUT", f"/users/{joe}/installations/shop", ACCOUNT, 201)
    break_account(console, joe, installed, "R" * 300)
    workflow = console.workflow(joe, LONG)
    now = datetime.now(UTC)
    texts = (
        "Request failed with status code 403",
        "T" * 300,
        "Rate limit of https://shop.example/orders?page=2 is reached",
    )
    blocks = ("alloy.shopify", "core.transform.line-items.of.every.order", "alloy.slack")
    for text, block in zip(texts, blocks, strict=True):
        times = ((now - timedelta(seconds=index * index * 30)).isoformat() for index in range(5))
        [error, *_] = console.record(workflow, *({"error": text, "createdAt": at} for at in times), blockType=block)
    bus = customer.make_bus(emulator, f"tenon-test-{uuid.uuid4().hex[:12]}")
    keys = customer.make_keys(emulator, bus.name, bus.name)
    credentials = {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
    body = {"type": "eventbridge", "region": REGION, "eventBusName": bus.name, "credentials": credentials, "name": LONG}
    keyed = environment.call("POST", "/destinations", body, 201)["destinationId"]
    with Receiver(500, "E" * 300) as receiver:
        receiver.url += "/" + "path" * 40
        webhook = console.webhook(receiver, name="Support desk", filter={"blockType": ["alloy.shopify", LONG]})
        console.record(workflow, *(f"status code 50{index}" for index in range(6)))
        wait(lambda: console.health(webhook)["status"] == "failing", "the circuit opens")
        role = {"roleArn": f"arn:aws:iam::{CUSTOMER_ACCOUNT}:role/{'long-' * 12}role"}
        body = {"type": "eventbridge", "region": REGION, "eventBusName": bus.name, "credentials": role}
        unset = environment.call("POST", "/destinations", body, 201)["destinationId"]
        environment.call("POST", f"/destinations/{webhook}/replay", {"pending": True}, 202)
        event = console.get("/events?type=installation.created")["data"][0]["_id"]
        [group, *_] = console.get("/errors/groups")["groups"]
        console.sign_in()

        def check(fragment: str, *names: str) -> None:
            console.open(fragment)
            console.see(*names)
            console.requests()
            console.check_view(fragment)

        check("#/errors", "Affected", "1 failing")
        check("#/errors?view=list&blockType=alloy.slack&text=Rate", "Workflow", "Clear filters")
        check(f"#/errors?fingerprint={group['fingerprint']}", "affected user")
        check(f"#/errors?error={error}", "Deliveries")
        check("#/errors?userId=nobody", "userId: must be the id")
        check("#/errors?since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:00Z", "Nothing failed")
        check("#/destinations", "failing", "Support desk")
        check(f"#/destinations/{webhook}", "Last failure", "Replay …")
        check(f"#/destinations/{webhook}?view=replays", "running")
        check(f"#/destinations/{webhook}?view=settings", "Only block types")
        check(f"#/destinations/{keyed}?view=settings", "Least-privilege policy")
        check("#/events", "installation.created")
        check(f"#/events?event={event}", "Data")
        check("#/integrations", "enabled")
        check("#/integrations/shop", "Preview of the modal")
        check("#/installations", "needs attention")
        check("#/users", "active")
        check(f"#/users/{joe}", "Credentials", "Stock levels")
        check(f"#/workflows/{workflow}", "Settings")
        check("#/environment", "Embedded modal")

        def check_dialog(fragment: str, text: str, *buttons: str) -> None:
            console.open(fragment)
            for button in buttons:
                console.click(button)
            console.see(text)
            console.check_view(f"{fragment}: {text}", LOOKS[::2])
            console.click("Close")

        settings = f"#/destinations/{webhook}?view=settings"
        keyed_settings = f"#/destinations/{keyed}?view=settings"
        bus_form = ("Add destination", "Amazon EventBridge")
        range_choice = "Everything that was recorded in a time range"
        check_dialog("#/destinations", "is required", "Add destination", "Save")
        check_dialog("#/destinations", "Block types", *bus_form, "Only those of certain users")
        check_dialog("#/destinations", "is required", *bus_form, "Access keys", "Save")
        check_dialog(f"#/destinations/{webhook}", "All deliveries that are", "Replay …")
        check_dialog(f"#/destinations/{webhook}", "Since", "Replay …", range_choice)
        check_dialog(f"#/destinations/{webhook}", "It cancels 6 queued deliveries", "Send to Support desk")
        check_dialog(settings, "6 queued deliveries are lost", "Delete destination")
        check_dialog(settings, "The previous one stays valid", "Rotate secret")
        check_dialog(settings, "Queued deliveries go to the new URL", "Change URL")
        check_dialog(keyed_settings, "Copy AWS CLI command", "Replace keys or role", "Role", "Trust policy")
        check_dialog(f"#/destinations/{unset}?view=settings", "AWS response", "Set up the role", "Verify and enable")
        check_dialog("#/users", "Full name", "Create user")
        check_dialog(f"#/users/{joe}", "Full name", "Edit")
        check_dialog(f"#/users/{joe}", "without a login", "Create install link")
        console.click("Create install link", "without a login")
        console.click("Create link", "The link works once")
        console.check_view("install link", LOOKS[::2])
        console.click("Done")
        check_dialog("#/environment", "Own colors", "Edit")
        console.open("#/errors")
        console.click("Custom", "Since")
        console.set_offline(True)
        console.skip(30)
        console.see("Live updates have stopped")
        console.check_view("custom range, offline")
