"""The modal when time passes or the network is slow or gone."""

from collections.abc import Iterator

import pytest
from modal import SHOP_ACCOUNT, Site, User
from modal_servers import UNAUTHORIZED
from waiting import wait

# Timers of five seconds and more wait until a test runs them. Short messages disappear after six.
CLOCK = """if (location.pathname === "/modal") {
  const [start, stop, now] = [setTimeout, clearTimeout, Date.now];
  window.timers = [];
  window.later = 0;
  window.setTimeout = (run, ms, ...rest) => (ms >= 5000 ? -timers.push({ run, ms }) : start(run, ms, ...rest));
  window.clearTimeout = (id) => { if (id < 0) timers[-id - 1].run = null; else stop(id); };
  Date.now = () => now() + later;
  window.pass = (ms) => {
    const due = timers.find((timer) => timer.ms === ms && timer.run);
    const { run } = due ?? {};
    if (due) due.run = null;
    run?.();
    return Boolean(due);
  };
}"""


@pytest.fixture
def clock(site: Site) -> Iterator[None]:
    """Gives the time of the page to the test. The frame must be of the same site as its host."""
    with site.browser.preloaded(CLOCK):
        yield


def test_token_is_renewed_before_it_expires(site: Site, user: User, clock: None) -> None:
    pending = "return timers.filter(({ run, ms }) => run && ms !== 6000).map(({ ms }) => ms).toSorted((one, other) => one - other)"
    site.show("Install", integrationId="chat")
    [due] = site.browser.run(pending)
    # Tokens are valid for 30 minutes.
    assert 28 * 60_000 < due <= 29 * 60_000
    site.browser.run("pass(arguments[0])", due)
    site.browser.wait("return timers.some(({ run, ms }) => run && ms > 60000)")
    assert site.host.token_requests == 2
    site.click("Install", "Chat is installed.")
    tokens = {request.headers["authorization"] for request in site.front.requests if "authorization" in request.headers}
    assert len(tokens) == 2
    # A tab that becomes visible renews only a token that is about to expire.
    visible = "document.dispatchEvent(new Event('visibilitychange'))"
    site.browser.run(visible)
    site.click("Manage", "Chat updates")
    assert site.host.token_requests == 2
    site.browser.run(f"later = 29.5 * 60000; {visible}")
    wait(lambda: site.host.token_requests == 3, "renewal of a visible tab")
    site.run("modal.close()")
    # Not within ten seconds after it was received.
    site.sign_in(user, ttlSeconds=60)
    site.show("Chat updates", integrationId="chat")
    assert site.browser.run(pending) == [10_000]
    site.run("modal.close()")
    assert site.host.token_requests == 4


def test_host_that_never_answers_ends_the_session(site: Site, user: User, clock: None) -> None:
    site.show("Install", integrationId="chat")
    site.run("window.fetch = () => new Promise(() => {})")
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    site.click("Install")
    wait(lambda: site.browser.run("return pass(30000)"), "timeout of the renewal")
    site.see("Your session has ended.")


def test_slow_network_is_announced(site: Site, user: User, clock: None) -> None:
    announced = "return document.getElementById('status').textContent"
    for start, name, text in (("GET /session", "Chat", "Install"), ("PUT", "Install", "Chat is installed.")):
        if name == "Chat":
            site.show("Chat")
        release = site.front.hold(start)
        site.click(name)
        wait(lambda: site.browser.run("return pass(5000)"), "timer of the slow request")
        assert site.browser.run(announced) == "This is taking longer than usual…"
        assert site.browser.run("return document.getElementById('status').getAttribute('role')") == "status"
        # A second click does not send the request again.
        site.find("buttonOf(arguments[0]).click()", name)
        release.set()
        site.see(text)
        assert site.browser.run(announced) == ""
    assert len(site.front.lines("PUT")) == 1


def test_user_who_reads_a_dialog_is_not_a_slow_network(site: Site, user: User, clock: None) -> None:
    user.install()
    site.show("Connected", integrationId="shop")
    site.click("Uninstall", "Uninstall Shop?")
    wait(lambda: site.browser.run("return pass(5000)"), "timer of the action")
    assert site.browser.run("return document.getElementById('status').textContent") == ""


def test_offline_keeps_what_was_typed(site: Site, user: User) -> None:
    site.front.fault("", "close")
    site.show("You seem to be offline", integrationId="shop")
    assert (site.events(), site.run("return failures")) == ([], ["request"]), "no view is shown"
    site.click("Try again")
    wait(lambda: len(site.front.lines("GET /session")) == 2, "second attempt")
    site.see("You seem to be offline")
    site.browser.wait("return document.activeElement.localName === 'h1'")
    site.front.repair()
    site.click("Try again", "Access token")
    site.fill_shop()
    site.front.fault("PUT", "close")
    site.click("Install", "You seem to be offline")
    assert [site.value(label) for label in ("Address", "Access token", "Region")] == [*SHOP_ACCOUNT.values(), "eu"]
    site.front.repair()
    # The request arrives, but not its response.
    site.front.fault("PUT", "drop", times=1)
    site.click("Install")
    wait(lambda: len(site.front.lines("PUT")) == 2, "second request")
    site.click("Install", "Shop is installed.")
    assert len(user.call("GET", "/credentials")["data"]) == 1
    assert user.installation()["status"] == "active"
    site.click("Manage", "Connected")
    site.front.fault("DELETE", "close", times=1)
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall", "You seem to be offline")
    site.front.repair()
    site.front.fault("DELETE", "drop", times=1)
    site.click("Uninstall")
    wait(lambda: len(site.front.lines("DELETE")) == 2, "second request")
    site.click("Uninstall", "Shop is uninstalled.")
    assert [event["name"] for event in site.events()] == ["ready", "installed", "uninstalled"]


def test_refused_page_is_shown_once_a_renewed_token_allows_it(site: Site, user: User, clock: None) -> None:
    site.sign_in(user, origins=[site.other.origin])
    site.show("This page may not be shown here.")
    site.sign_in(user)
    due = site.browser.run("return Math.max(...timers.filter(({ run }) => run).map(({ ms }) => ms))")
    site.browser.run("pass(arguments[0])", due)
    site.see("Ledger", "Chat")
    site.events("ready")
