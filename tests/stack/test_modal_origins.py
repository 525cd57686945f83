"""Pages that may contain the modal, and the protocol between them."""

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from deployed import Environment
from modal import Site, User
from modal_servers import UNAUTHORIZED
from tenon import Api


def test_origins_of_token_and_environment_decide(site: Site, other_environment: Environment) -> None:
    user = site.new_user(other_environment)

    def allow(*origins: str) -> None:
        other_environment.call("PATCH", "/environment", {"modal": {"origins": origins}})

    refused = ("This page may not be shown here.", f"An administrator can allow it at {site.host.origin}")
    allow(site.host.origin)
    for origins in ([site.other.origin], ["https://app.acme.example"]):
        site.sign_in(user, origins=origins)
        site.show(*refused)
        assert site.front.lines("GET /session") == [], "no data is loaded"
        site.run("modal.close()")
    # Without origins in the token, those of the environment apply.
    site.host.token = user.token
    site.show("There are no integrations yet.")
    site.run("modal.close()")
    allow(site.other.origin)
    site.show(*refused)
    site.click("Close")
    site.wait_closed()
    allow()
    site.show(*refused)
    assert site.events() == [{"name": name} for name in ("close", "close", "ready", "close", "close")]
    assert site.run("return failures") == ["origin"] * 4


def test_claims_that_the_api_has_not_accepted_allow_no_page(site: Site, other_environment: Environment) -> None:
    other_environment.call("PATCH", "/environment", {"modal": {"origins": ["https://app.acme.example"]}})
    user = site.new_user(other_environment)
    real = user.token()
    assert real
    header, _, signature = real.split(".")
    now = int(time.time())
    claims = {"sub": user.id, "iat": now, "exp": now + 1800, "origins": [site.host.origin]}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    # The API refuses the first token, and the page asks for another one.
    site.host.next_tokens = [f"{header}.{payload}.{signature}"]
    site.host.token = lambda: real
    site.show("This page may not be shown here.", f"An administrator can allow it at {site.host.origin}")
    assert site.host.token_requests == 2


def test_first_token_without_origins_can_be_refused(site: Site, other_environment: Environment) -> None:
    other_environment.call("PATCH", "/environment", {"modal": {"origins": [site.host.origin]}})
    site.host.token = site.new_user(other_environment).token
    site.front.fault("GET", UNAUTHORIZED)
    site.show("Your session has ended.")
    assert len(site.front.lines("GET /session")) == 2, "one renewal, and one repetition"
    site.front.repair()
    site.click("Try again", "There are no integrations yet.")


def test_browser_blocks_frames_of_other_pages(site: Site, user: User) -> None:
    site.load("/raw")
    for url in (
        site.frame_url(site.other.origin),
        site.frame_url("https://app.acme.example"),
        f"{site.front.origin}/modal",
    ):
        site.browser.leave_frames()
        site.browser.run("embed(arguments[0])", url)
        site.enter()
        site.browser.wait("return location.protocol === 'chrome-error:'")
    # The page of an install link cannot be framed, with a ticket either.
    site.browser.leave_frames()
    assert site.browser.run("return heard") == []


def test_pages_above_must_be_allowed_too(site: Site, user: User) -> None:
    """The host is in a frame of another page."""
    both = [site.host.origin, site.other.origin]
    for allowed, origins, text in (
        (both, both, "Install"),
        (both[:1], both, f"An administrator can allow it at {site.other.origin}"),
    ):
        site.sign_in(user, origins=allowed)
        site.load("/raw", site.other)
        site.browser.run("embed(arguments[0])", f"{site.host.origin}/")
        site.enter()
        site.browser.wait("return Boolean(window.show)")
        site.browser.run("show({ integrationId: 'chat', origins: arguments[0] })", origins)
        enter_nested(site)
        site.see(text)
    # Without the outer page in the URL, the browser refuses.
    site.load("/raw", site.other)
    site.browser.run("embed(arguments[0])", f"{site.host.origin}/")
    site.enter()
    site.browser.wait("return Boolean(window.show)")
    site.browser.run("show({ integrationId: 'chat' })")
    enter_nested(site)
    site.browser.wait("return location.protocol === 'chrome-error:'")


def enter_nested(site: Site) -> None:
    """Makes the page in the frame of a frame the current one."""
    frame = site.browser.wait("return document.querySelector('iframe')")
    site.browser.call("POST", "/frame", {"id": frame})


def redeem(site: Site, user: User, integration: str) -> str:
    """Returns the token of an install link."""
    url = user.call("GET", f"/integrations/{integration}/install-url")["url"]
    answer = Api(site.api).call("POST", "/tickets", {"ticket": url.partition("#ticket=")[2]})
    assert answer.status == 200, answer
    return answer.body["token"]


def test_token_of_an_install_link_is_refused_in_a_frame(site: Site, user: User) -> None:
    hosted = redeem(site, user, "chat")
    site.host.next_tokens = [hosted]
    site.show("This page may not be shown here.", "install link")
    assert site.front.lines("GET /session") == []


def test_invalid_origins_are_refused_by_the_server(site: Site) -> None:
    own = f"https://{urlsplit(site.environment.backend.url).path.split('/')[3]}.execute-api.localhost"
    api = Api(site.environment.backend.url)
    for origin in (own, "http://app.acme.example", "https://app.acme.example/", "*", "null", ""):
        answer = api.call("GET", f"/modal?{urlencode({'v': 1, 'origin': origin})}")
        assert (answer.status, answer.body["errors"][0]["pointer"]) == (422, "/origin/0"), origin


def test_unframed_page_with_an_origin_shows_nothing(site: Site, user: User) -> None:
    site.browser.go(site.frame_url(site.front.origin.replace("127.0.0.1", "localhost")))
    site.see("Open this page from a link that you received")
    assert site.find("return visible('button, input, a').length") == 0
    assert site.front.lines("GET /session") == []


START = "port.postMessage({ type: 'start', token: arguments[0], options: { integrationId: arguments[1], lang: arguments[2] ?? null } })"


def test_only_the_first_port_of_the_parent_is_accepted(site: Site, user: User) -> None:
    token = user.token(origins=[site.host.origin])
    site.start_raw()
    site.enter()
    site.browser.run("window.seen = []; addEventListener('message', ({ data }) => seen.push(data))")
    # Frames beside the page, of another origin and of that of the parent, send ports with a start.
    for index, host in enumerate((site.other, site.host), 1):
        site.browser.leave_frames()
        script = "document.body.append(Object.assign(document.createElement('iframe'), { src: arguments[0] }))"
        site.browser.run(script, f"{host.origin}/raw")
        site.browser.enter_frame(site.browser.run("return document.querySelectorAll('iframe')[arguments[0]]", index))
        site.browser.wait("return typeof embed === 'function'")
        site.browser.run(
            """const { port1, port2 } = new MessageChannel();
            parent.frames[0].postMessage({ tenon: "port", v: 1 }, "*", [port2]);
            port1.postMessage({ type: "start", token: arguments[0], options: { integrationId: "erp" } });""",
            token,
        )
    # Messages of the parent that are not a port.
    others: list[tuple[Any, int]] = [
        ({"tenon": "port", "v": 2}, 1),
        ({"tenon": "port"}, 1),
        ({"tenon": "port", "v": 1}, 0),
        ({"tenon": "port", "v": 1}, 2),
        ({"tenon": "ready", "v": 1}, 1),
        (None, 1),
        ("port", 1),
        ({"type": "start", "token": token, "options": {}}, 0),
    ]
    site.browser.leave_frames()
    for message, count in others:
        site.browser.run("connect(arguments[0], arguments[1])", message, count)
        if count:
            site.browser.run(START, token, "erp")
    site.enter()
    site.browser.wait("return seen.length === arguments[0]", 2 + len(others))
    site.run("connect(); window.first = port")
    site.run(START, token, "chat")
    site.see("Chat", "Install")
    # Later ports are ignored.
    site.run("connect()")
    site.run(START, token, "shop")
    site.run("port.postMessage({ type: 'theme', theme: 'dark' })")
    site.browser.wait("return seen.length === arguments[0]", 4 + len(others))
    site.run("first.postMessage({ type: 'unknown' }); first.postMessage(null); first.postMessage('leave')")
    site.click("Install", "Chat is installed.")
    assert site.browser.run("return document.documentElement.dataset.scheme") == "light"
    types = site.run("return received.filter(({ type }) => type !== 'size').map(({ type, name }) => name ?? type)")
    assert types == ["ready", "installed"]
    assert site.front.lines("GET /integrations/") == ["GET /integrations/chat"]


def test_page_without_a_port_does_nothing(site: Site, user: User) -> None:
    token = user.token(origins=[site.host.origin])
    site.start_raw()
    site.browser.run("connect({ tenon: 'port', v: 2 })")
    site.browser.run(START, token, "shop")
    site.enter()
    site.see("Loading")
    site.run("connect()")
    site.run(START, token, "chat")
    site.see("Chat", "Install")
    assert len(site.front.lines("GET /session")) == 1
    assert site.front.lines("GET /integrations/") == ["GET /integrations/chat"]


STRICT = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}


def test_isolated_host_with_a_strict_policy_works(site: Site, user: User) -> None:
    policy = (
        f"default-src 'none'; script-src 'self' {site.front.origin}; frame-src {site.front.origin}; connect-src 'self'"
    )
    for host in (site.host, site.other):
        host.headers["/strict"] = {**STRICT, "content-security-policy": policy}
        site.load("/strict", host)
        assert site.browser.run("return crossOriginIsolated")
        for inline in (False, True):
            site.show("Install", integrationId="chat", inline=inline)
            site.click("Install", "Chat is installed.")
            site.run("modal.close()")
            user.call("DELETE", "/installations/chat")
        assert site.run("return violations") == []
