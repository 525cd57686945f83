"""Tokens of the modal: renewal, refusal, other users and what a token allows."""

import threading

from deployed import NewEnvironment
from modal import SHOP, SHOP_ACCOUNT, Site, User
from modal_servers import EXPIRED, FORBIDDEN, UNAUTHORIZED
from serving import Response
from waiting import wait


def test_dialog_can_be_closed_while_its_first_token_is_awaited(site: Site, user: User) -> None:
    signed_in, token = threading.Event(), site.host.token
    site.host.token = lambda: token() if signed_in.wait(60) else None
    site.show("Loading")
    site.click("Close")
    site.wait_closed()
    signed_in.set()


def open_filled_form(site: Site) -> None:
    """Opens the form of the shop and fills it."""
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    site.front.requests.clear()
    site.host.token_requests = 0


def try_again_in_vain(site: Site) -> None:
    """Clicks "Try again" while there is no token, and waits until that is reported again."""
    site.browser.run("window.reported = document.querySelector('[role=alert]')")
    site.click("Try again")
    site.browser.wait("return !reported.isConnected")
    site.see("Your session has ended.")
    assert site.host.token_requests == 2


def test_renewed_token_keeps_what_was_typed(site: Site, user: User) -> None:
    for refusal in (UNAUTHORIZED, FORBIDDEN, EXPIRED):
        site.load()
        open_filled_form(site)
        site.front.fault("PUT", refusal, times=1)
        site.click("Install", "Shop is installed.")
        assert site.host.token_requests == 1
        assert len(site.front.lines("PUT")) == 2
        tokens = {request.headers["authorization"] for request in site.front.requests if request.method == "PUT"}
        assert len(tokens) == 2, "the repeated request has the new token"
        user.call("DELETE", "/installations/shop")


def test_refused_request_is_repeated_once(site: Site, user: User) -> None:
    open_filled_form(site)
    site.front.fault("PUT", UNAUTHORIZED)
    site.click("Install", "Your session has ended.", "What you entered is still here.")
    assert (site.host.token_requests, len(site.front.lines("PUT"))) == (1, 2)
    site.front.repair()
    site.click("Try again")
    wait(lambda: "Your session has ended." not in site.text(), "renewed")
    assert site.host.token_requests == 2
    assert [site.value(label) for label in ("Address", "Access token", "Region")] == [*SHOP_ACCOUNT.values(), "eu"]
    site.click("Install", "Shop is installed.")
    assert site.host.token_requests == 2


def test_failed_renewal_keeps_what_was_typed(site: Site, user: User) -> None:
    open_filled_form(site)
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    site.host.next_tokens = [None, None]
    site.click("Install", "Your session has ended.")
    assert len(site.front.lines("PUT")) == 1
    # Signing in again takes two attempts.
    try_again_in_vain(site)
    site.click("Try again")
    wait(lambda: "Your session has ended." not in site.text(), "renewed")
    site.click("Install", "Shop is installed.")


def test_forbidden_action_does_not_renew_the_token(site: Site, user: User) -> None:
    problem = Response.of('{"status": 403, "detail": "no"}', "application/problem+json", 403)
    open_filled_form(site)
    site.front.fault("PUT", problem)
    site.click("Install", "You are not allowed to do this.")
    assert (site.host.token_requests, len(site.front.lines("PUT"))) == (0, 1)


def test_concurrent_requests_share_a_renewal(site: Site, user: User) -> None:
    site.show("Shop")
    site.host.token_requests = 0
    site.click("Shop", "Access token")
    paths = ("/session", "/integrations", "/errors/groups")
    site.front.requests.clear()
    # One refusal comes when the token was renewed already.
    late = site.front.hold("GET /session", UNAUTHORIZED)
    for path in paths[1:]:
        site.front.fault(f"GET {path}", UNAUTHORIZED, times=1)
    site.click("Back")
    wait(lambda: all(len(site.front.lines(f"GET {path}")) == 2 for path in paths[1:]), "repeated")
    assert site.host.token_requests == 1
    late.set()
    site.see("Shop", "Chat")
    assert sorted(site.front.lines("GET")) == sorted(f"GET {path}" for path in paths for _ in range(2))
    assert site.host.token_requests == 1


def test_token_of_another_user_starts_anew(site: Site, user: User) -> None:
    user.install()
    other = site.new_user()
    site.show("Shop", "Installed")
    site.search("shop")
    site.click("Shop", "Connected")
    site.fill({"Orders per run": "77"})
    site.sign_in(other)
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    site.click("Save")
    site.see("Integrations", "Chat")
    shown = site.text()
    assert [text for text in ("Installed", "no longer exists", "saved", "went wrong") if text in shown] == []
    # What the first user entered is not stored for anybody.
    assert user.installation()["settings"] == {"region": "eu"}
    other.call("GET", "/installations/shop", status=404)
    assert len(site.front.lines("PUT")) == 1
    site.click("Shop", "Access token")
    site.fill_shop()
    site.click("Install", "Shop is installed.")
    assert other.installation()


def test_renewed_token_must_allow_the_host_too(site: Site, user: User) -> None:
    for path in ("GET /session", "GET /integrations"):
        site.sign_in(user)
        site.show("Shop")
        site.click("Chat", "Install")
        site.sign_in(user, origins=["https://app.acme.example"])
        release = site.front.hold("GET /errors")
        site.front.fault(path, UNAUTHORIZED, times=1)
        site.click("Back", "This page may not be shown here.")
        release.set()
        # The responses of the view that was loading are not shown.
        script = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/errors/')).length"
        site.browser.wait(f"return {script} === 2")
        site.see("This page may not be shown here.")
        site.run("modal.close()")


def test_late_response_for_the_first_user_is_dropped(site: Site, user: User) -> None:
    user.install()
    other = site.new_user()
    site.show("Shop", "Installed")
    site.click("Shop", "Connected")
    late = site.front.hold("GET /session")
    site.front.fault("GET /integrations", UNAUTHORIZED, times=1)
    site.sign_in(other)
    site.click("Back")
    site.see("Integrations", "Chat")
    site.click("Shop", "Access token")
    site.fill_shop()
    # Both users opened two views, each with a session.
    script = "return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/session')).length"
    sessions = site.browser.run(script)
    late.set()
    site.browser.wait(f"{script} > {sessions}")
    site.click("Install", "Shop is installed.")
    assert other.installation()


def test_queued_switch_of_the_first_user_is_dropped(site: Site, user: User) -> None:
    other = site.new_user()
    for one in (user, other):
        one.install()
    site.sign_in(user, mode="install")
    site.show("Connected", integrationId="shop")
    refuse = site.front.hold("PUT", UNAUTHORIZED)
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), "first switch")
    site.toggle("Stock")
    site.sign_in(other, mode="install")
    refuse.set()
    # The page has started anew: its focus is on the heading again.
    site.browser.wait("return document.activeElement.localName === 'h1'")
    site.see("Connected")
    # The queued switch would be sent before that of the other user.
    site.toggle("Orders")
    site.see("Orders is paused.")
    assert len(site.front.lines("PUT")) == 2
    for one, active in ((user, [True, True]), (other, [False, True])):
        assert [workflow["active"] for workflow in one.installation()["workflows"]] == active


def test_prefill_of_the_first_user_is_not_shown_to_the_next_one(site: Site, user: User) -> None:
    other = site.new_user()
    prefill = {"settings": {"batch": 77}}
    site.show("Access token", integrationId="shop", prefill=prefill)
    assert site.value("Orders per run") == "77"
    site.fill_shop()
    site.sign_in(other)
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    sessions = len(site.front.lines("GET /session"))
    site.click("Install")
    wait(lambda: len(site.front.lines("GET /session")) > sessions, "session of the other user")
    wait(lambda: site.find("return inputOf('Orders per run')?.value") == "", "empty form")


def test_prefill_is_kept_if_the_first_token_is_refused(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    environment.call("PUT", "/integrations/shop", SHOP, 201)
    environment.call("PATCH", "/environment", {"modal": {"origins": [site.host.origin]}})
    # Without origins of its own, so that the page has to load those of the environment first.
    site.host.token = site.new_user(environment).token
    site.front.fault("GET /session", UNAUTHORIZED, times=1)
    site.show("Access token", integrationId="shop", prefill={"settings": {"batch": 77}})
    assert site.host.token_requests == 2
    assert site.value("Orders per run") == "77"


def test_prefill_does_not_change_an_installation(site: Site, user: User) -> None:
    user.install()
    site.show("Save", integrationId="shop", prefill={"settings": {"batch": 77}})
    assert site.value("Orders per run") == ""
    site.toggle("Send a summary")
    site.click("Save", "Your changes are saved.")
    assert user.installation()["settings"].get("batch") is None


def test_refused_renewal_closes_an_open_dialog(site: Site, user: User) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    site.click("Uninstall", "Uninstall Shop?")
    site.sign_in(user, origins=["https://app.acme.example"])
    site.front.fault("DELETE", UNAUTHORIZED, times=1)
    site.click("Uninstall", "This page may not be shown here.")
    wait(lambda: site.find("return document.querySelector('dialog') === null"), "removal of the dialog")
    # The host may have a token that is allowed, later.
    asked = site.host.token_requests
    site.click("Try again", "This page may not be shown here.")
    wait(lambda: site.host.token_requests > asked, "request for a token")
    site.sign_in(user)
    site.click("Try again", "Connected")
    site.click("Close")
    site.wait_closed()
    assert len(site.front.lines("DELETE")) == 1
    assert user.installation()


def test_disabled_user_loses_nothing(site: Site, user: User) -> None:
    open_filled_form(site)
    # API Gateway knows the first token for 30 seconds, but not yet the second one.
    site.host.next_tokens = [user.token(origins=[site.host.origin])]
    user.call("POST", "/disable")
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    site.click("Install", "Your session has ended.")
    assert (site.host.token_requests, len(site.front.lines("PUT"))) == (1, 2)
    try_again_in_vain(site)
    user.call("POST", "/enable")
    site.click("Try again")
    wait(lambda: "Your session has ended." not in site.text(), "renewed")
    site.click("Install", "Shop is installed.")


def test_first_token_can_be_missing_or_invalid(site: Site, user: User) -> None:
    for first in (None, "not a token", "e30.e30.e30"):
        site.load()
        site.host.token_requests = 0
        site.host.next_tokens = [first, first]
        site.show("Your session has ended.", integrationId="chat")
        try_again_in_vain(site)
        site.click("Try again", "Chat", "Install")
        site.events("ready")
        assert site.run("return failures") == ["session", "session"]


def test_first_token_can_be_refused(site: Site, user: User) -> None:
    site.front.fault("GET", UNAUTHORIZED)
    site.show("Your session has ended.", integrationId="chat")
    site.front.repair()
    site.click("Try again", "Chat", "Install")
    site.events("ready")


def test_mode_of_host_and_token_hides_actions(site: Site, user: User) -> None:
    user.break_account(user.install(), "expired")
    actions = ("Save", "Reconnect", "Uninstall")
    for token, host, expected in (
        ("manage", "read", ()),
        ("read", "manage", ()),
        ("read", None, ()),
        ("install", None, actions[:2]),
        ("manage", "install", actions[:2]),
        ("manage", None, actions),
    ):
        site.sign_in(user, mode=token)
        site.show("Not working", "Region", integrationId="shop", mode=host)
        shown = tuple(name for name in actions if site.find("return Boolean(buttonOf(arguments[0]))", name))
        assert shown == expected, (token, host)
        assert site.find("return inputOf('Orders').disabled") is (not expected)
        if not expected:
            site.see("Europe")
        site.run("modal.close()")
    site.show("You can view this, but not change it.", integrationId="chat", mode="read")
    assert site.find("return buttonOf('Install') ?? null") is None


def test_token_can_be_limited_to_integrations(site: Site, user: User) -> None:
    user.fail(user.install(), "an error of the shop")
    site.sign_in(user, integrations=["chat", "forms", "char"])
    site.show("Chat", "Forms")
    warnings = [line for line in site.browser.log() if "integrations of the token" in line]
    assert len(warnings) == 1 and warnings[0].endswith('are not enabled: char"'), warnings
    shown = site.text()
    assert [name for name in ("Shop", "Ledger", "Contacts", "error") if name in shown] == []
    site.click("Chat", "Install")
    site.click("Install", "Chat is installed.")
    site.run("modal.close()")
    site.show("This integration is not available.", integrationId="shop")
