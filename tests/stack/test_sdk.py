"""The script of the host page, sdk/tenon.js."""

import re
import subprocess
from typing import Any

import clients
import pytest
from browser import ESCAPE, Browser, WebDriverError
from sdk_host import HostPage
from waiting import wait

import sdk

SANDBOX = "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox"


@pytest.fixture(scope="module")
def session(browser: Browser) -> HostPage:
    """The host page, for all tests of this file."""
    return HostPage(browser)


@pytest.fixture
def host(session: HostPage) -> HostPage:
    """The host page, newly loaded."""
    session.browser.resize(1000, 800)
    session.load()
    session.browser.log()
    return session


def test_page_starts_with_token_and_given_options(host: HostPage) -> None:
    host.show()
    assert host.messages() == [{"type": "start", "token": "a.user.token-1", "options": {"inline": False}}]
    host.run("modal.close()")
    options: dict[str, Any] = {
        "integrationId": "shopify",
        "view": "errors",
        "mode": "read",
        "theme": {"light": {"accent": "#0b5cad"}},
        "lang": "de",
        "texts": {"install": "Connect"},
        "prefill": {"settings": {"region": "eu"}, "credentials": {"shopify": {"shop": "https://acme.example"}}},
    }
    host.show(**options)
    [start] = host.messages()
    assert start == {"type": "start", "token": "a.user.token-2", "options": {**options, "inline": False}}


def test_options_may_be_proxies(host: HostPage) -> None:
    host.run("show({ prefill: new Proxy({ settings: { region: 'eu' } }, {}), texts: undefined, mode: null })")
    [start] = host.messages()
    assert start["options"] == {"inline": False, "prefill": {"settings": {"region": "eu"}}}


def test_frame_is_sandboxed_and_has_a_title(host: HostPage) -> None:
    host.show(lang="en")
    script = "const f = document.querySelector('iframe'); return [f.getAttribute('sandbox'), f.title, f.referrerPolicy]"
    assert host.run(script) == [SANDBOX, "Integrations", "no-referrer"]
    assert "referer" not in host.service.requests["/v1/modal"]
    assert host.run("return document.querySelector('dialog').getAttribute('aria-label')") == "Integrations"
    host.run("modal.close()")
    host.show(lang="de-AT")
    named = "return [document.querySelector('iframe').title, document.querySelector('dialog').lang]"
    assert host.run(named) == ["Integrationen", "de"]
    host.run("modal.close()")
    host.show(lang="de", texts={"title": "Apps", "close": None})
    assert host.run(named) == ["Apps", ""]


def test_url_keeps_the_base_path(host: HostPage) -> None:
    own = host.url.replace(":", "%3A").replace("/", "%2F")
    urls = {
        "": "/modal",
        "/": "/modal",
        "/v1": "/v1/modal",
        "/v1/": "/v1/modal",
        "/v1//": "/v1/modal",
        "/v1/a.b/?x=1#y": "/v1/a.b/modal",
        "/v1/tenon.js?version=1": "/v1/modal",
        "/_aws/execute-api/1234/$default": "/_aws/execute-api/1234/$default/modal",
        "//v1": "//v1/modal",
    }
    for given, expected in urls.items():
        host.show(started=False, url=host.api + given)
        source = host.run("return document.querySelector('iframe').src")
        host.run("modal.close()")
        assert source == f"{host.api}{expected}?v=1&origin={own}", given
    host.show()
    assert host.run("return document.querySelector('iframe').src").startswith(f"{host.api}/v1/modal?")


def test_url_names_the_origins_of_nested_pages(host: HostPage) -> None:
    host.show(started=False, origins=[host.url, "https://portal.example.com", "https://intranet.example.com:8443"])
    origins = host.run("return new URL(document.querySelector('iframe').src).searchParams.getAll('origin')")
    assert origins == [host.url, "https://portal.example.com", "https://intranet.example.com:8443"]


def test_ready_of_other_frames_is_ignored(host: HostPage) -> None:
    """A frame of another origin, and one of the API's origin that is not the modal's."""
    host.show(started=False, url=f"{host.api}/silent")
    script = (
        "document.body.append(Object.assign(document.createElement('iframe'), { id: arguments[1], src: arguments[0] }))"
    )
    host.run(script, f"{host.foreign}/frame", "foreign")
    host.run(script, f"{host.api}/v1/modal?origin={host.url}", "unknown")
    host.run("return new Promise((done) => setTimeout(done, 300))")
    with host.frame("#foreign") as frame:
        assert frame.wait("return document.readyState === 'complete'")
        assert frame.run("return received") == 0
    with host.frame("#unknown") as frame:
        frame.wait("return typeof ports === 'object'")
        assert frame.run("return ports.length") == 0
    with host.frame("dialog iframe") as frame:
        assert frame.run("return ports.length") == 0
        frame.run("sayReady()")
    assert host.messages("start", selector="dialog iframe")


def test_ready_of_another_origin_in_the_frame_is_ignored(host: HostPage) -> None:
    host.show(started=False, url=f"{host.api}/moved")
    with host.frame() as frame:
        frame.wait("return location.origin === arguments[0] && typeof ports === 'object'", host.foreign)
        host.settle()
        assert frame.run("return ports.length") == 0
    # Nothing was started: Escape closes.
    host.browser.press(ESCAPE)
    assert wait(lambda: not host.is_open(), "closed")


def test_other_messages_are_ignored(host: HostPage) -> None:
    host.show(started=False, url=f"{host.api}/silent")
    with host.frame() as frame:
        frame.wait("return typeof ports === 'object'")
        frame.run(
            "for (const data of [null, 'ready', {}, { tenon: 'close' }, ['ready']]) parent.postMessage(data, '*')"
        )
        host.settle()
        assert frame.run("return ports.length") == 0
        frame.run("sayReady()")
    host.messages("start")
    host.send({"type": "unknown"}, {"type": "event", "name": "unknown"}, {"type": "event", "name": "close"})
    host.send({"type": "event", "name": "toString"}, {}, {"type": "event", "name": "ready", "detail": {"more": 1}})
    with host.frame() as frame:
        frame.run("send(null, 'close', 7)")
    host.settle()
    assert host.run("return events") == [["ready", {"more": 1}]]
    assert host.run("return problems") == []


def test_each_ready_gets_a_new_port_and_the_old_one_is_closed(host: HostPage) -> None:
    host.show()
    with host.frame() as frame:
        frame.run("sayReady()")
        frame.wait("return messages.length === 2")
        starts = frame.run("return messages.map(({ type, token }) => `${type} ${token}`)")
        assert starts == ["start a.user.token-1", "start a.user.token-2"]
    assert host.run("return closedPorts") == 1
    with host.frame() as frame:
        frame.run("ports[0].postMessage({ type: 'event', name: 'installed', detail: {} })")
        frame.run("send({ type: 'event', name: 'ready', detail: {} })")
    assert host.wait("return events.length && events") == [["ready", {}]]
    host.run("modal.close()")
    assert host.run("return closedPorts") == 2


def test_reloaded_frame_starts_again(host: HostPage) -> None:
    host.show()
    host.run("modal.setTheme('dark')")
    with host.frame() as frame:
        frame.run("location.reload()")
    wait(lambda: host.messages("start")[0]["token"] == "a.user.token-2", "second start")
    [start] = host.messages()
    assert start["options"] == {"inline": False, "theme": "dark"}


def test_token_function_is_called_while_the_page_loads(host: HostPage) -> None:
    host.show(started=False, url=f"{host.api}/silent")
    assert host.run("return calls") == 1
    with host.frame() as frame:
        frame.wait("return typeof sayReady === 'function'")
        frame.run("sayReady()")
    assert host.messages("start")[0]["token"] == "a.user.token-1"
    assert host.run("return calls") == 1


def test_renewal_calls_the_function_again_but_not_twice_concurrently(host: HostPage) -> None:
    host.run("""window.answers = [];
        show({ token: () => { calls += 1; return new Promise((resolve) => answers.push(resolve)); } })""")
    with host.frame() as frame:
        frame.wait("return typeof ports === 'object' && ports.length === 1")
        frame.run("sayReady()")
        frame.wait("return ports.length === 2")
        frame.run("send({ type: 'renew' }, { type: 'renew' })")
        host.settle()
    assert host.run("return calls") == 1
    host.run("answers[0](' token.number.one\\n')")
    assert [message["token"] for message in host.messages(count=3)] == ["token.number.one"] * 3
    host.send({"type": "renew"})
    host.wait("return answers.length === 2")
    host.run("answers[1]('token.number.two')")
    assert host.messages("token", 3)[2] == {"type": "token", "token": "token.number.two"}


def test_failed_token_is_null_with_a_warning(host: HostPage) -> None:
    functions = {
        "() => { throw new Error('not signed in') }": "Error: not signed in",
        "() => Promise.reject(new Error('offline'))": "Error: offline",
        "() => undefined": "returned no user token",
        "() => null": "returned no user token",
        "() => 'tn_live_secret'": "returned no user token",
        "() => 'undefined'": "returned no user token",
        "() => 7": "returned no user token",
        "() => ({ token: 'secret' })": "returned no user token",
        "async () => '  '": "returned no user token",
        "async () => '<!doctype html><title>Not found: secret</title>'": "returned no user token",
    }
    for function, warning in functions.items():
        host.run(f"show({{ token: {function} }})")
        assert host.messages()[0]["token"] is None, function
        host.send({"type": "renew"})
        assert host.messages("token")[0]["token"] is None, function
        host.run("modal.close()")
        lines = host.browser.log()
        assert sum(warning in line for line in lines) == 2, lines
        assert not any("secret" in line for line in lines)


def test_token_function_that_does_not_return_counts_as_failed(host: HostPage) -> None:
    host.load("/?patience=300")
    host.run("show({ token: () => { calls += 1; return calls === 1 ? new Promise(() => {}) : 'a.user.token' } })")
    assert host.messages("start")[0]["token"] is None
    host.send({"type": "renew"})
    assert host.messages("token")[0]["token"] == "a.user.token"


def test_token_appears_neither_in_the_page_nor_in_storage(host: HostPage) -> None:
    host.show()
    assert "token-1" not in host.run("return document.documentElement.outerHTML")
    assert "token-1" not in host.run(
        "return JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie])"
    )


def test_events_reach_the_host_and_finished_has_the_last_change(host: HostPage) -> None:
    host.show()
    installed = {"integrationId": "shopify", "credentialIds": {"shopify": "c"}, "workflows": [], "status": "active"}
    deactivated = {"integrationId": "shopify", "workflowId": "w", "key": "orders"}
    host.send(
        {"type": "event", "name": "ready", "detail": {}},
        {"type": "event", "name": "installed", "detail": installed},
        {"type": "event", "name": "deactivated", "detail": deactivated},
        {"type": "close"},
        {"type": "event", "name": "uninstalled", "detail": {"integrationId": "shopify"}},
    )
    assert host.run("return modal.finished") == {"type": "deactivated", **deactivated}
    expected = [["ready", {}], ["installed", installed], ["deactivated", deactivated], ["close", {}]]
    assert host.run("return events") == expected
    assert not host.is_open()


def test_finished_is_null_without_a_change(host: HostPage) -> None:
    host.show()
    host.send({"type": "event", "name": "ready", "detail": {}}, {"type": "close"})
    assert host.run("return modal.finished") is None


def test_failing_handler_of_the_host_does_not_stop_the_modal(host: HostPage) -> None:
    host.run("show({ on: { installed: fail, close: fail } })")
    host.messages("start")
    host.send({"type": "event", "name": "installed", "detail": {"integrationId": "a"}}, {"type": "close"})
    assert host.run("return modal.finished") == {"type": "installed", "integrationId": "a"}
    assert not host.is_open()
    assert host.run("return problems") == ["Uncaught Error: bug of the host"] * 2


def test_close_happens_once(host: HostPage) -> None:
    host.show()
    host.run("modal.close(); modal.close();")
    host.settle()
    host.run("modal.close(); modal.setTheme('dark')")
    assert host.run("return events") == [["close", {}]]
    assert host.run("return modal.finished") is None
    assert not host.is_open()


def test_host_may_close_in_a_handler(host: HostPage) -> None:
    host.run("show({ on: { ...on, ready: () => modal.close() } })")
    host.messages("start")
    host.send({"type": "event", "name": "ready", "detail": {}}, {"type": "renew"})
    host.wait("return events.length")
    host.settle()
    assert host.run("return [events, calls, problems]") == [[["close", {}]], 1, []]


def test_escape_closes_before_the_start_and_asks_the_page_after_it(host: HostPage) -> None:
    host.show(started=False, url=f"{host.api}/silent")
    host.browser.press(ESCAPE)
    assert host.run("return events") == [["close", {}]]
    assert not host.is_open()
    host.show()
    # The focus is in the page, which handles the key itself.
    with host.frame() as frame:
        assert frame.run("return document.hasFocus()")
        host.browser.press(ESCAPE)
    # The focus is in the host page, where a second Escape would close the dialog.
    host.run("document.querySelector('iframe').inert = true; document.querySelector('dialog').tabIndex = -1")
    host.run("document.querySelector('dialog').focus(); document.querySelector('iframe').inert = false")
    # The focus moves between processes, so that a first key may still reach the other one.
    host.settle()
    for _ in range(3):
        host.browser.press(ESCAPE)
    assert host.messages("leave", 3)
    assert host.run("return [document.querySelector('dialog').open, events.length]") == [True, 1]


def test_frame_that_does_not_answer_is_removed(host: HostPage) -> None:
    host.show()
    host.run("document.querySelector('dialog').dispatchEvent(new Event('cancel', { cancelable: true }))")
    host.messages("leave")
    wait(lambda: not host.is_open(), "dialog of a silent frame")
    host.show()
    host.run("document.querySelector('dialog').dispatchEvent(new Event('cancel', { cancelable: true }))")
    host.send({"type": "stay"})
    host.wait("return performance.now() - arguments[0] > 5500", host.run("return performance.now()"))
    assert host.is_open()


def test_close_request_of_the_browser_asks_the_page(host: HostPage) -> None:
    """A close request without a key, such as the back gesture of a phone."""
    host.show()
    host.run("document.querySelector('dialog').dispatchEvent(new Event('cancel', { cancelable: true }))")
    assert host.messages("leave")
    # Nothing can prevent this one.
    host.run("document.querySelector('dialog').close()")
    host.wait("return events.length")
    assert host.run("return events") == [["close", {}]]
    assert not host.is_open()


def test_click_outside_of_the_frame_asks_the_page(host: HostPage) -> None:
    # The second click of a double click that opens the dialog.
    host.run(
        "show({}); const dialog = document.querySelector('dialog');"
        "dialog.dispatchEvent(new PointerEvent('pointerdown')); dialog.dispatchEvent(new MouseEvent('click'));"
    )
    host.messages("start")
    assert host.is_open()
    host.wait("return performance.now() - arguments[0] > 600", host.run("return performance.now()"))
    host.browser.drag((500, 400), (20, 20))
    host.browser.drag((500, 400))
    host.browser.drag((20, 20), (500, 400))
    host.settle()
    assert len(host.messages()) == 1
    host.browser.drag((20, 20), (30, 30))
    assert host.messages("leave") == [{"type": "leave"}]
    with host.frame() as frame:
        assert frame.run("return document.hasFocus()")
    host.run("modal.close()")
    host.show(started=False, url=f"{host.api}/silent")
    host.wait("return performance.now() - arguments[0] > 600", host.run("return performance.now()"))
    host.browser.drag((20, 20))
    assert not host.is_open()


def test_pointer_reaches_the_page_although_the_host_disables_it(host: HostPage) -> None:
    """Dialogs of some libraries set `pointer-events: none` on the body while they are open."""
    host.run("document.body.style.pointerEvents = 'none'")
    host.show()
    assert host.run("return document.elementFromPoint(innerWidth / 2, innerHeight / 2).tagName") == "IFRAME"


def test_focus_returns_and_keys_reach_the_page(host: HostPage) -> None:
    host.browser.click("#second")
    host.show()
    with host.frame() as frame:
        assert frame.run("return document.hasFocus()")
    host.send({"type": "close"})
    host.run("return modal.finished")
    assert host.run("return document.activeElement.id") == "second"


def test_page_behind_does_not_scroll_or_move(host: HostPage) -> None:
    script = """const { overflowY, paddingRight } = getComputedStyle(document.documentElement);
        return [overflowY, paddingRight, document.getElementById("wide").getBoundingClientRect().width]"""
    host.run("""const wide = Object.assign(document.createElement("div"), { id: "wide" });
        wide.style.height = "3000px";
        document.body.append(wide);
        Object.assign(document.documentElement.style, { overflow: "auto", paddingRight: "5px" })""")
    before = host.run(script)
    host.show()
    host.run("window.firstModal = modal")
    host.show(started=False)
    during = host.run(script)
    assert during[0] == "hidden"
    assert abs(during[2] - before[2]) <= 5
    host.run("firstModal.close()")
    assert host.run(script) == during
    host.run("modal.close()")
    assert host.run(script) == before


def test_page_behind_does_not_scroll_if_the_host_replaced_its_style_sheets(host: HostPage) -> None:
    host.show()
    host.run("modal.close(); document.adoptedStyleSheets = []")
    host.show()
    assert host.run("return getComputedStyle(document.documentElement).overflowY") == "hidden"


def test_page_scrolls_again_if_the_host_removes_the_dialog(host: HostPage) -> None:
    overflow = "return getComputedStyle(document.documentElement).overflowY"
    host.show()
    assert host.run(overflow) == "hidden"
    # As libraries do that replace the body.
    host.run("document.body.replaceWith(document.body.cloneNode(false))")
    assert host.run(overflow) == "visible"


def test_frame_that_the_browser_blocks_is_reported_soon(host: HostPage) -> None:
    host.load("/strict")
    # The policy of the page does not allow it. The patience of the script is twenty seconds.
    host.show(started=False, url="http://localhost:9")
    assert "could not be loaded" in host.wait("return document.querySelector('[role=alert]')?.textContent")
    assert any("tenon: load failed:" in message and "localhost:9/modal" in message for message in host.browser.log())


def test_dialog_can_be_closed_while_its_page_loads(host: HostPage) -> None:
    cross = "document.querySelector('dialog > button[aria-label=Close]')"
    host.browser.resize(360, 700)
    host.show(started=False, url=f"{host.api}/silent")
    # Nothing covers it.
    host.wait(f"""const {{ right, top }} = {cross}.getBoundingClientRect();
      return document.elementFromPoint(right - 5, top + 5) === {cross};""")
    host.run(f"{cross}.click()")
    assert host.run("return events.at(-1)") == ["close", {}]
    host.show()
    assert host.run(f"return {cross}") is None, "the page has its own"


def test_dialog_is_centred_and_as_high_as_its_content(host: HostPage) -> None:
    host.show()
    host.send({"type": "size", "height": 300})
    host.wait("return document.querySelector('iframe').offsetHeight === 300")
    assert host.box() == (140, 250, 720, 300)
    assert host.box("dialog") == (0, 0, 1000, 800)
    with host.frame() as frame:
        frame.run(
            "send(...[NaN, Infinity, -1, '100', null, {}].map((height) => ({ type: 'size', height })), { type: 'size' })"
        )
    host.settle()
    assert host.box()[3] == 300
    host.send({"type": "size", "height": 5000})
    host.wait("return document.querySelector('iframe').offsetHeight === 752")
    assert host.box() == (140, 24, 720, 752)
    for width in (640, 360):
        host.browser.resize(width, 700)
        host.wait("return document.querySelector('iframe').offsetHeight === 700")
        assert host.box() == (0, 0, width, 700)
    host.browser.resize(700, 700)
    host.wait("return document.querySelector('iframe').offsetHeight === 652")
    assert host.box() == (0, 24, 700, 652)


def test_styles_of_the_host_do_not_change_the_dialog(host: HostPage) -> None:
    host.run("""const sheet = new CSSStyleSheet();
        sheet.replaceSync(`dialog, iframe { width: 50px; height: 50px; max-width: 90%; margin: 9px; padding: 9px;
          border: 9px solid; display: none; position: static }`);
        document.adoptedStyleSheets = [sheet]""")
    host.show()
    host.send({"type": "size", "height": 300})
    host.wait("return document.querySelector('iframe').offsetHeight === 300")
    assert host.box() == (140, 250, 720, 300)
    assert host.box("dialog") == (0, 0, 1000, 800)


def test_inline_page_is_as_wide_as_its_element_and_as_high_as_its_content(host: HostPage) -> None:
    host.run("document.getElementById('place').style.width = '500px'")
    host.run("show({ mount: document.getElementById('place') })")
    assert host.messages("start")[0]["options"] == {"inline": True}
    host.send({"type": "size", "height": 2345})
    host.wait("return document.querySelector('iframe').offsetHeight === 2345")
    assert host.box("#place iframe")[2:] == (500, 2345)
    assert host.run(
        "return [document.querySelector('dialog'), getComputedStyle(document.documentElement).overflowY]"
    ) == [None, "visible"]
    host.run("modal.close()")
    assert not host.is_open()
    assert host.run("return document.getElementById('place').textContent") == "Other content"


def test_page_that_does_not_load_is_reported(host: HostPage) -> None:
    host.load("/?patience=500")
    texts = {"en": "could not be loaded", "de": "konnten nicht geladen werden", "ja": "連携を読み込めませんでした"}
    for lang, text in texts.items():
        for mount in ("undefined", "document.getElementById('place')"):
            host.run(f"show({{ url: '{host.api}/missing', lang: '{lang}', mount: {mount} }})")
            assert text in host.wait("return document.querySelector('[role=alert]')?.textContent")
            assert host.run("return document.querySelector('iframe').offsetHeight") == 0
            host.browser.click("[role=alert] button")
            assert not host.is_open()
    assert host.run("return events") == [["failed", {"reason": "load"}], ["close", {}]] * 6
    # A page that loads late is shown.
    host.show(started=False, url=f"{host.api}/silent")
    host.wait("return document.querySelector('[role=alert]')")
    assert host.run("return document.activeElement.tagName") == "BUTTON"
    with host.frame() as frame:
        frame.run("sayReady()")
    host.messages("start")
    assert host.run("return document.querySelector('[role=alert]')") is None
    assert host.box()[3] == 480
    with host.frame() as frame:
        assert frame.run("return document.hasFocus()")


def test_page_that_fails_after_it_was_reported_is_reported_once(host: HostPage) -> None:
    late = host.service.hold("/late/modal")
    host.load("/?patience=500")
    host.run(f"show({{ url: '{host.api}/late', mount: document.getElementById('place') }})")
    host.wait("return document.querySelector('[role=alert]')")
    host.run("document.querySelector('iframe').addEventListener('load', () => { window.loadedLate = true; })")
    late.set()
    host.wait("return window.loadedLate")
    # A timer that starts later with the same time ends later.
    host.run("return new Promise((end) => setTimeout(end, patience))")
    assert host.run("return document.querySelectorAll('[role=alert]').length") == 1
    host.run("modal.close()")
    assert not host.is_open()
    assert host.run("return events") == [["failed", {"reason": "load"}], ["close", {}]]


def test_strict_content_security_policy_suffices(host: HostPage) -> None:
    host.load("/strict?patience=500")
    host.show()
    host.send({"type": "size", "height": 300})
    host.wait("return document.querySelector('iframe').offsetHeight === 300")
    assert host.box() == (140, 250, 720, 300)
    host.run("modal.close(); show({ mount: document.getElementById('place') })")
    host.messages("start")
    host.run("modal.close()")
    host.show(started=False, url=f"{host.api}/missing")
    host.wait("return document.querySelector('[role=alert]')")
    host.run("modal.close()")
    assert host.run("return [violations, problems]") == [[], []]
    assert not any("Content Security Policy" in line for line in host.browser.log())


def test_modals_are_independent(host: HostPage) -> None:
    host.run("""window.seen = [];
        window.modals = ["a", "b"].map((name) => open({ token: () => `a.token.${name}`, integrationId: name,
          on: { updated: ({ integrationId }) => seen.push([name, integrationId]), close: () => seen.push([name, "close"]) } }));
        document.querySelectorAll("iframe").forEach((frame, index) => { frame.id = ["a", "b"][index]; })""")
    for name in ("a", "b"):
        [start] = host.messages("start", selector=f"#{name}")
        assert (start["token"], start["options"]["integrationId"]) == (f"a.token.{name}", name)
    for name in ("b", "a"):
        host.send({"type": "event", "name": "updated", "detail": {"integrationId": name}}, selector=f"#{name}")
        host.wait("return seen.at(-1)?.[0] === arguments[0]", name)
    host.send({"type": "close"}, selector="#b")
    assert host.run("return modals[1].finished") == {"type": "updated", "integrationId": "b"}
    assert host.run("return [...document.querySelectorAll('iframe')].map(({ id }) => id)") == ["a"]
    host.run("modals[0].close()")
    assert host.run("return seen") == [["b", "b"], ["a", "a"], ["b", "close"], ["a", "close"]]


def test_theme_changes_while_the_modal_is_open(host: HostPage) -> None:
    host.show(started=False, url=f"{host.api}/silent", theme="light")
    scheme = "return getComputedStyle(document.querySelector('iframe')).colorScheme"
    assert host.run(scheme) == "light"
    host.run("modal.setTheme('dark')")
    assert host.run(scheme) == "dark"
    with host.frame() as frame:
        frame.wait("return typeof sayReady === 'function'")
        frame.run("sayReady()")
    assert host.messages("start")[0]["options"]["theme"] == "dark"
    theme = {"dark": {"accent": "#7db8f5"}}
    host.run("modal.setTheme(new Proxy(arguments[0], {}))", theme)
    assert host.messages("theme") == [{"type": "theme", "theme": theme}]
    assert host.run(scheme) == "light dark"


def test_invalid_options_are_named(host: HostPage) -> None:
    invalid = {
        "{}": ["token is required"],
        "{ token: 'eyJ' }": ["token must be a function"],
        "{ token, view: 'error', mode: 'write', lang: 7 }": ["view must be", "mode must be", "lang must be"],
        "{ token, integrationID: 'a' }": ["integrationID is unknown"],
        "{ token, toString: 1 }": ["toString is unknown"],
        "{ token, integrationId: 7 }": ["integrationId must be"],
        "{ token, mount: '#place' }": ["mount must be an element"],
        "{ token, mount: document }": ["mount must be an element"],
        "{ token, mount: document.querySelector('#missing') }": ["mount must be an element"],
        "{ token, texts: [], prefill: 'a' }": ["texts must be", "prefill must be"],
        "{ token, on: { opened() {} } }": ["on must be an object of functions: ready, installed"],
        "{ token, on: { close: 'a' } }": ["on must be"],
        "{ token, on: () => {} }": ["on must be"],
        "{ token, origins: [] }": ["origins must be"],
        "{ token, origins: 'https://app.example.com' }": ["origins must be"],
        "{ token, origins: ['https://app.example.com'] }": ["origins must be"],
        "{ token, origins: [origin, 'https://app.example.com/'] }": ["origins must be"],
        "{ token, origins: [origin, 'a', 'b', 'c'] }": ["origins must be"],
        "{ token, url: 'api.example.com' }": ["url must be"],
        "{ token, url: '/api' }": ["url must be"],
        "{ token, url: 'http://api.example.com' }": ["url must be"],
        "{ token, url: 'http://localhost.example.com' }": ["url must be"],
        "{ token, url: 'ftp://api.example.com' }": ["url must be"],
        "{ token, url: 'blob:https://api.example.com/a' }": ["url must be"],
        "{ token, url: 'https://' }": ["url must be"],
        "{ token, url: new URL('/api', origin).href }": ["url must be"],
        "null": ["token is required"],
    }
    script = "try { open(%s); return ['no error'] } catch (error) { return [error.constructor.name, error.message] }"
    for options, problems in invalid.items():
        [kind, message] = host.run(script % options)
        assert kind == "TypeError", options
        assert message.startswith("tenon: "), options
        assert message.count(";") == len(problems) - 1, message
        assert all(problem in message for problem in problems), (options, message)
    for circular, rule in (("prefill", "an object"), ("texts", "an object"), ("theme", "JSON")):
        [kind, message] = host.run("const a = {}; a.a = a; " + script % f"{{ token, {circular}: a }}")
        assert (kind, message) == ("TypeError", f"tenon: {circular} must be {rule}")
    assert not host.is_open()
    assert host.run("return calls") == 0


def test_part_of_a_bundle_requires_the_url(host: HostPage) -> None:
    host.run("return import('/bundle.js').then((tenon) => { window.bundled = tenon.open; })")
    with pytest.raises(WebDriverError, match="url is required"):
        host.run("bundled({ token })")
    host.run("window.modal = bundled({ token, on, url: arguments[0] })", f"{host.api}/v1")
    assert host.messages("start")


def test_classic_script_works_and_may_be_loaded_twice(host: HostPage) -> None:
    host.load("/classic")
    assert host.browser.log() == []
    host.run("window.modal = Tenon.open({ token: () => 'a.classic.token' })")
    assert host.run("return document.querySelector('iframe').src").startswith(f"{host.api}/v1/modal?")
    assert host.messages("start")[0]["token"] == "a.classic.token"
    host.run("modal.close()")
    host.run(
        "return import(arguments[0]).then(({ open }) => { window.modal = open({ token: () => 'a.module.token' }); })",
        f"{host.api}/tenon.js",
    )
    assert host.messages("start")[0]["token"] == "a.module.token"
    assert sorted(host.run("return Object.keys(Tenon)")) == ["open"]


def test_import_without_a_dom_has_no_effect() -> None:
    node = clients.node() or pytest.skip("needs Node.js")
    script = f"""import assert from "node:assert";
        const before = Object.keys(globalThis).length;
        const module = await import({str(sdk.MODULE)!r});
        assert.deepEqual(Object.keys(module), ["open"]);
        assert.equal(Object.keys(globalThis).length, before);
        assert.throws(() => module.open({{ token: () => "" }}), /url is required/);"""
    done = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.sub(r".*(MODULE_TYPELESS|--trace-warnings|Reparsing|To eliminate).*\n", "", done.stderr) == ""


ELEMENT = "document.querySelector('tenon-modal')"
ADD_ELEMENT = """const element = document.createElement("tenon-modal");
    for (const [name, value] of Object.entries(arguments[0])) element.setAttribute(name, value);
    for (const name of on ? Object.keys(on) : []) element.addEventListener(name, (event) => events.push([event.type, event.detail]));
    document.body.addEventListener("installed", () => events.push("bubbled"));
    document.body.append(element);"""


def test_inline_element_starts_as_soon_as_it_has_a_token_function(host: HostPage) -> None:
    attributes = {
        "inline": "",
        "integration-id": "shopify",
        "view": "errors",
        "mode": "read",
        "lang": "de",
        "theme": "dark",
    }
    host.run(ADD_ELEMENT, attributes)
    host.settle()
    assert not host.is_open()
    host.run(f"{ELEMENT}.texts = {{ install: 'Connect' }}; {ELEMENT}.token = token")
    [start] = host.messages("start", selector="tenon-modal iframe")
    expected = {"integrationId": "shopify", "view": "errors", "mode": "read", "lang": "de", "theme": "dark"}
    assert start["options"] == {**expected, "texts": {"install": "Connect"}, "inline": True}
    host.send({"type": "event", "name": "installed", "detail": {"integrationId": "shopify"}})
    host.wait("return events.length")
    host.run(f"{ELEMENT}.close()")
    assert host.run("return events") == [["installed", {"integrationId": "shopify"}], ["close", {}]]
    assert not host.is_open()


def test_new_functions_of_an_element_apply_and_none_closes_it(host: HostPage) -> None:
    for attributes in ({"inline": ""}, {"open": ""}):
        host.run(ADD_ELEMENT + "element.token = token; element.connect = () => events.push('first')", attributes)
        host.messages("start")
        host.run(f"{ELEMENT}.token = () => 'of.another.user'; {ELEMENT}.connect = () => events.push('second')")
        host.send({"type": "renew"}, {"type": "connect", "detail": {}})
        assert host.messages("token")[-1] == {"type": "token", "token": "of.another.user"}
        host.messages("connected")
        host.run(f"{ELEMENT}.token = null")
        assert not host.is_open()
        host.run(f"{ELEMENT}.remove()")
    assert host.run("return events") == ["second", ["close", {}]] * 2


def test_properties_may_be_set_before_the_script_is_loaded(host: HostPage) -> None:
    host.load("/early")
    [start] = host.messages("start")
    assert start["token"] == "an.early.token"
    assert start["options"] == {
        "integrationId": "shopify",
        "theme": "light",
        "prefill": {"settings": {"region": "eu"}},
        "inline": True,
    }


def test_element_opens_the_dialog_by_attribute_or_method(host: HostPage) -> None:
    host.run(ADD_ELEMENT, {"open": ""})
    host.run(f"{ELEMENT}.token = token")
    host.messages("start", selector="dialog iframe")
    host.send({"type": "close"})
    host.wait("return events.length")
    assert host.run(f"return [{ELEMENT}.hasAttribute('open'), events]") == [False, [["close", {}]]]
    host.run(f"{ELEMENT}.show(); {ELEMENT}.show()")
    assert host.run("return document.querySelectorAll('dialog').length") == 1
    host.messages("start")
    assert host.run(f"return {ELEMENT}.hasAttribute('open')")
    host.run(f"{ELEMENT}.removeAttribute('open')")
    assert not host.is_open()
    host.run(f"{ELEMENT}.toggleAttribute('open')")
    host.messages("start")
    host.run(f"{ELEMENT}.close(); {ELEMENT}.close()")
    assert host.run("return events.length") == 3


def test_theme_of_an_element_is_changed_and_removed(host: HostPage) -> None:
    host.run(ADD_ELEMENT, {"inline": "", "theme": "dark"})
    host.run(f"{ELEMENT}.token = token")
    host.messages("start", selector="tenon-modal iframe")
    for change, theme in (("theme = 'light'", "light"), ("theme = null", "dark"), ("removeAttribute('theme')", None)):
        host.run(f"{ELEMENT}.{change}")
        assert host.messages("theme", selector="tenon-modal iframe")[-1] == {"type": "theme", "theme": theme}


def test_element_without_a_token_function_cannot_be_shown(host: HostPage) -> None:
    host.run(ADD_ELEMENT, {})
    with pytest.raises(WebDriverError, match="token is required"):
        host.run(f"{ELEMENT}.show()")
    assert not host.is_open()


def test_removed_element_closes_its_modal(host: HostPage) -> None:
    for attributes in ({"inline": ""}, {"open": ""}):
        host.run(ADD_ELEMENT + "element.token = token", attributes)
        host.messages("start")
        host.run(f"window.removed = {ELEMENT}; removed.remove()")
        assert not host.is_open()
        host.settle()
        assert not host.is_open()
    assert host.run("return events") == []
    host.run("document.body.append(removed)")
    assert host.messages("start")


def test_dialog_of_a_moved_element_opens_anew_without_an_event(host: HostPage) -> None:
    host.run(ADD_ELEMENT + "element.token = token", {"open": ""})
    host.messages("start")
    host.run(f"document.body.prepend({ELEMENT})")
    host.wait("return calls === 2 && document.querySelectorAll('dialog iframe').length")
    assert host.messages("start")
    assert host.run(f"return [{ELEMENT}.hasAttribute('open'), events]") == [True, []]


def test_changed_attributes_change_the_theme_or_reopen_the_inline_page(host: HostPage) -> None:
    host.run(ADD_ELEMENT + "element.token = token", {"inline": ""})
    host.messages("start")
    host.run(f"{ELEMENT}.setAttribute('theme', 'dark')")
    host.run(f"{ELEMENT}.theme = {{ light: {{ radius: 4 }} }}")
    assert [message["theme"] for message in host.messages("theme", 2)] == ["dark", {"light": {"radius": 4}}]
    host.run(f"{ELEMENT}.setAttribute('integration-id', 'a'); {ELEMENT}.setAttribute('view', 'errors')")
    [start] = host.messages("start")
    assert start["options"] == {
        "integrationId": "a",
        "view": "errors",
        "theme": {"light": {"radius": 4}},
        "inline": True,
    }
    assert host.run("return [calls, events]") == [2, []]
    host.run(f"{ELEMENT}.setAttribute('view', 'errors'); {ELEMENT}.removeAttribute('inline')")
    host.settle()
    assert not host.is_open()
    assert host.run("return events") == []


def test_changed_attributes_apply_to_the_next_dialog(host: HostPage) -> None:
    host.run(ADD_ELEMENT + "element.token = token", {"open": ""})
    host.messages("start")
    host.run(f"{ELEMENT}.setAttribute('integration-id', 'a')")
    host.settle()
    assert len(host.messages()) == 1
    host.run(f"{ELEMENT}.close(); {ELEMENT}.show()")
    assert host.messages("start")[0]["options"] == {"integrationId": "a", "inline": False}
