"""The modal installs integrations, switches workflows and uninstalls."""

from collections.abc import Iterator

import pytest
from deployed import NewEnvironment
from modal import SHOP, Site, User
from serving import Response
from waiting import wait


def test_user_installs_changes_reconnects_and_uninstalls(site: Site, user: User) -> None:
    # The page of the API itself, below the path of its stage.
    site.show("Shop", "Ledger", "Chat", url=site.api)
    site.events("ready")
    site.click("Shop", "Sends every new order", "Of your shop.", "Send a summary")
    site.click("Install", "Enter a value.")
    assert "Enter a value." in site.error("Access token")
    assert "Choose an option." in site.error("Region")
    site.fill_shop("wrong")
    site.toggle("Stock")
    site.click("Install", "does not have the expected form")
    assert "does not have the expected form" in site.error("Access token")
    assert site.error("Address") == ""
    site.fill({"Access token": "shpat_1"})
    site.click("Install", "Shop is installed.")
    stored = user.installation()
    assert stored["settings"] == {"region": "eu", "mail": False}
    assert [workflow["key"] for workflow in stored["workflows"] if workflow["active"]] == ["orders"]
    reported = ("integrationId", "credentialIds", "workflows", "status")
    [_, installed] = site.events("ready", "installed")
    assert installed == {"name": "installed", **{name: stored[name] for name in reported}}

    site.click("Manage", "Connected")
    site.fill({"Orders per run": "25"})
    site.choose("Region", "United States")
    site.toggle("Send a summary")
    site.click("Save", "Your changes are saved.")
    stored = user.installation()
    assert stored["settings"] == {"region": "us", "batch": 25, "mail": True}
    assert site.events("ready", "installed", "updated")[2]["status"] == "active"
    site.fill({"Orders per run": ""})
    site.click("Save", "Your changes are saved.")
    wait(lambda: user.installation()["settings"] == {"region": "us", "mail": True}, "cleared")

    site.toggle("Orders")
    site.see("Orders is paused.", "Paused")
    assert user.installation()["status"] == "inactive"
    site.toggle("Orders")
    site.see("Orders is active.", "Installed")
    names = ("ready", "installed", "updated", "updated", "deactivated", "activated")
    workflow = {"workflowId": stored["workflows"][0]["workflowId"], "key": "orders", "integrationId": "shop"}
    assert site.events(*names)[4:] == [{"name": name, **workflow} for name in names[4:]]

    user.break_account(stored, "401 from the shop")
    site.click("Back", "Needs attention")
    site.click("Shop", "Not working", "401 from the shop")
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.fill({"Address": "https://acme.shop.example", "Access token": "shpat_2"})
    site.click("Reconnect", "Shop account is connected again.", "Installed")
    stored = user.installation()
    assert stored["status"] == "active"
    assert user.reveal(stored["credentialIds"]["shop"]) == {"address": "https://acme.shop.example", "token": "shpat_2"}

    site.click("Uninstall", "Its workflows stop")
    site.click("Cancel")
    assert user.installation()
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall", "Shop is uninstalled.")
    user.call("GET", "/installations/shop", status=404)
    site.events(*names, "updated", "uninstalled")
    site.click("Close")
    site.wait_closed()
    assert site.events(*names, "updated", "uninstalled", "close")[-1] == {"name": "close"}
    assert site.browser.run("return last") == {"type": "uninstalled", "integrationId": "shop"}


def test_only_workflow_is_described_before_the_installation(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    workflow = {"key": "stock", "name": "Stock levels", "description": "Every five minutes."}
    environment.call("PUT", "/integrations/shop", {**SHOP, "workflows": [workflow]}, 201)
    account = {"type": "app", "name": "App account", "fields": []}
    app = {"name": "App", "credentialTypes": [account], "workflows": [workflow]}
    environment.call("PUT", "/integrations/app", app, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Stock levels", "Connect this account in the app", integrationId="app")
    site.run("modal.close()")
    site.show("Workflows", "Stock levels", "Every five minutes.", integrationId="shop")
    assert site.find("return inputOf('Stock levels') ?? null") is None
    site.fill_shop()
    site.click("Install", "Shop is installed.")
    assert [workflow["key"] for workflow in user.installation()["workflows"] if workflow["active"]] == ["stock"]


def test_integration_that_was_uninstalled_elsewhere_is_not_installed_by_a_change(
    site: Site, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    without_account = {**SHOP, "credentialTypes": [], "settings": SHOP["settings"][1:]}
    environment.call("PUT", "/integrations/shop", without_account, 201)
    user = site.sign_in(site.new_user(environment))
    user.install(settings={"batch": 1})
    site.show("Uninstall", integrationId="shop")
    user.call("DELETE", "/installations/shop")
    site.fill({"Orders per run": "5"})
    site.click("Save", "This was changed in the meantime.", "Install")
    user.call("GET", "/installations/shop", status=404)


# Removes what the oldest supported browsers lack (docs/modal.md).
OLDER_BROWSER = """for (const [object, ...names] of [
  [Promise, "withResolvers", "try"], [URL, "canParse", "parse"], [Object, "groupBy"], [Map, "groupBy"], [Array, "fromAsync"],
  [Array.prototype, "toSorted", "toReversed", "toSpliced", "with"], [String.prototype, "isWellFormed", "toWellFormed"],
  [Set.prototype, "union", "intersection", "difference", "isSubsetOf"], [AbortSignal, "any"], [globalThis, "Iterator"],
  [Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())), "map", "filter", "toArray", "some", "find", "every"],
]) for (const name of names) delete object[name];"""


@pytest.fixture
def older_browser(site: Site) -> Iterator[None]:
    """Removes newer features of the browser from all pages."""
    with site.browser.preloaded(OLDER_BROWSER):
        site.load()
        yield


def test_modal_works_in_the_oldest_supported_browsers(site: Site, user: User, older_browser: None) -> None:
    site.show("Access token", integrationId="shop", theme={"light": {"accent": "#0b5cad"}})
    missing = "return [Promise.withResolvers, URL.canParse, [].toSorted].map((feature) => typeof feature)"
    assert site.browser.run(missing) == ["undefined"] * 3, "the frame is of the same site as its host"
    site.fill_shop()
    site.fill({"Address": "acme"})
    site.click("Install", "https://")
    site.fill_shop()
    site.click("Install", "Shop is installed.")
    site.click("Manage", "Orders")
    site.toggle("Orders")
    site.see("Orders is paused.")
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall", "Shop is uninstalled.")


def test_switch_of_an_installation_that_is_gone_shows_the_present_state(site: Site, user: User) -> None:
    for mode in ("install", "manage"):
        user.install()
        site.show("Connected", integrationId="shop", mode=mode)
        user.call("DELETE", "/installations/shop")
        site.toggle("Orders")
        site.see("This no longer exists.", "Access token")
        site.run("modal.close()")


def test_workflow_of_a_new_version_is_switched_on_after_another_was_removed(
    site: Site, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    workflows = {key: {"key": key, "name": key.title()} for key in ("first", "second", "third", "fourth")}
    body = {"name": "Versions", "workflows": [workflows["first"], workflows["second"]]}
    environment.call("PUT", "/integrations/versions", body, 201)
    user = site.new_user(environment)
    user.install("versions", workflows=["first", "second"])
    environment.call("PUT", "/integrations/versions", body | {"workflows": list(workflows.values())[1:]})
    for mode, name in (("manage", "Third"), ("install", "Fourth")):
        site.sign_in(user, mode=mode)
        site.show(name, integrationId="versions")
        site.toggle(name)
        site.see(f"{name} is active.")
        site.run("modal.close()")
    active = {workflow["key"]: workflow["active"] for workflow in user.installation("versions")["workflows"]}
    assert active == dict.fromkeys(workflows, True)


def test_view_that_loads_cannot_be_changed(site: Site, user: User) -> None:
    """Input would be lost, and switches would show an old state."""
    user.install()
    site.show("Connected", integrationId="shop")
    release = site.front.hold("GET /session")
    site.fill({"Orders per run": "5"})
    site.click("Save")
    wait(lambda: site.find("return inputOf('Orders').matches('[inert] *')"), "inert")
    release.set()
    site.see("Your changes are saved.")
    site.toggle("Orders")
    site.see("Orders is paused.")


def test_switch_stays_when_only_the_session_fails(site: Site, user: User) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    site.front.fault("GET /session", "close")
    site.toggle("Orders")
    site.see("Orders is paused.")
    assert site.value("Orders") is False
    assert user.installation()["workflows"][0]["active"] is False
    assert site.events("ready", "deactivated")[1]["key"] == "orders"
    site.front.repair()
    site.front.fault("PUT /workflows/activate", "close")
    site.toggle("Orders")
    site.see("You seem to be offline")
    assert site.value("Orders") is False
    # The failure is not shown beside a success.
    site.front.repair()
    site.toggle("Orders")
    site.see("Orders is active.")
    assert "You seem to be offline" not in site.text()


@pytest.mark.parametrize("mode", ["manage", "install"])
def test_switch_whose_response_is_lost_has_happened(site: Site, user: User, mode: str) -> None:
    user.install()
    site.sign_in(user, mode=mode)
    site.show("Connected", integrationId="shop")
    site.front.fault("PUT", "drop", times=1)
    site.toggle("Orders")
    site.see("Orders is paused.")
    assert site.value("Orders") is False
    assert "You seem to be offline" not in site.text()
    assert site.events("ready", "deactivated")[1]["key"] == "orders"


def test_switch_leaves_the_focus_where_the_user_has_moved_it(site: Site, user: User) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    focused = "return inputOf(arguments[0]) === document.activeElement"
    for field in ("Orders", "Orders per run"):
        release = site.front.hold("PUT /workflows/")
        site.toggle("Orders")
        if field != "Orders":
            site.find("inputOf(arguments[0]).focus()", field)
        release.set()
        wait(lambda: site.find("return !inputOf('Orders').disabled"), "switched")
        assert site.find(focused, field), field


def test_older_session_does_not_replace_a_newer_one(site: Site, user: User) -> None:
    user.install()
    site.sign_in(user, mode="install")
    site.show("Shop", "Installed")
    site.click("Shop", "Connected")
    # Holds back the first response with a session that arrives from now on.
    site.browser.run("""
        const forward = fetch;
        let isHeld = false;
        window.fetch = async (...request) => {
          const response = await forward(...request);
          if (isHeld || !response.url.endsWith("/session")) return response;
          isHeld = true;
          const body = await response.text();
          await new Promise((resolve) => { window.releaseSession = resolve; });
          return new Response(body, response);
        };
    """)
    site.click("Save")
    wait(lambda: site.browser.run("return Boolean(window.releaseSession)"), "held session")
    site.click("Back", "Ledger")
    site.click("Shop", "Connected")
    site.toggle("Orders")
    site.see("Orders is paused.")
    site.browser.run("releaseSession()")
    site.toggle("Stock")
    site.see("Stock is paused.")
    assert [workflow["active"] for workflow in user.installation()["workflows"]] == [False, False]


def test_switches_of_an_install_token_run_in_order(site: Site, user: User) -> None:
    user.install()
    site.sign_in(user, mode="install")
    site.show("Connected", integrationId="shop")
    assert "Uninstall" not in site.text()
    release = site.front.hold("PUT")
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), "first switch")
    site.toggle("Stock")
    release.set()
    site.see("Stock is paused.", "Paused")
    assert [workflow["active"] for workflow in user.installation()["workflows"]] == [False, False]
    site.toggle("Stock")
    site.see("Stock is active.", "Installed")
    names = [event["name"] for event in site.events()]
    assert names == ["ready", "deactivated", "deactivated", "activated"]


def test_view_that_is_opened_during_a_switch_shows_its_result(site: Site, user: User) -> None:
    user.install()
    site.show("Shop", "Installed")
    site.click("Shop", "Orders", "Stock")
    release = site.front.hold("PUT", times=2)
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), "request")
    site.toggle("Stock")
    site.click("Back")
    release.set()
    site.see("Ledger", "Paused")


def test_failure_of_a_switch_is_shown_in_a_view_that_was_opened_meanwhile(site: Site, user: User) -> None:
    user.install()
    site.show("Shop", "Installed")
    site.click("Shop", "Orders")
    release = site.front.hold("PUT", Response.of("{}", "application/problem+json", 500))
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), "request")
    site.click("Back")
    release.set()
    site.see("Ledger", "Something went wrong on our side.")


def test_missing_integration_is_not_available(site: Site, user: User) -> None:
    for integration in ("unknown", "../users", "a/b?c#d", "Ä", "."):
        site.show("This integration is not available.", integrationId=integration)
        site.run("modal.close()")
    site.front.fault("GET /integrations/chat", Response.of("{}", "application/problem+json", 500), times=1)
    site.show("Something went wrong on our side.", integrationId="chat")
    site.click("Try again", "Install")


def test_uninstall_completes_although_its_dialog_is_closed(site: Site, user: User) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    release = site.front.hold("DELETE")
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall")
    wait(lambda: site.front.lines("DELETE"), "request")
    site.click("Cancel")
    release.set()
    site.see("Shop is uninstalled.")
    site.events("ready", "uninstalled")


def test_failed_uninstall_is_reported_although_its_dialog_is_closed(site: Site, user: User) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    release = site.front.hold("DELETE", Response.of("{}", "application/problem+json", 500))
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall")
    wait(lambda: site.front.lines("DELETE"), "request")
    site.click("Cancel")
    release.set()
    site.see("Something went wrong on our side.", "Connected")
    site.events("ready")


def test_retired_integration_can_be_uninstalled(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    environment.call("PUT", "/integrations/shop", SHOP, 201)
    user = site.sign_in(site.new_user(environment))
    installed = user.install()
    environment.call("PUT", "/integrations/shop", {**SHOP, "enabled": False})
    site.show("shop", "This integration is no longer offered.", "Installed")
    site.click("shop", "no longer offered", "Orders", "Stock")
    assert [name for name in ("Save", "Reconnect") if site.find("return buttonOf(arguments[0])", name)] == []
    site.toggle("Stock")
    site.see("Stock is paused.")
    user.fail(installed, "an error")
    site.click("Uninstall", "Uninstall shop?")
    site.click("Uninstall", "shop is uninstalled.", "There are no integrations yet.")
    user.call("GET", "/installations/shop", status=404)
    site.run("modal.close()")
    # Also without the catalogue.
    environment.call("PUT", "/integrations/shop", SHOP)
    user.install()
    environment.call("PUT", "/integrations/shop", {**SHOP, "enabled": False})
    site.show("no longer offered", integrationId="shop")
    site.click("Uninstall", "Uninstall shop?")
    site.click("Uninstall", "shop is uninstalled.", "This integration is not available.")
