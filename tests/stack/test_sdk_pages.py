"""The package in sdk/ in pages: the React component and hook in bundles, and the drop-in alloy.js.

The frames have a page of test_sdk.py instead of `/modal`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from sdk_host import HostPage
from sdk_package import REACT_VERSIONS, SDK, SOURCES, make_project, needs_node, run

TYPES = {".html": "text/html", ".js": "text/javascript"}
INSTALLED = {
    "integrationId": "shopify",
    "credentialIds": {"crm": "c1", "shopify": "c2"},
    "workflows": [],
    "status": "active",
}

ALLOY = """<!doctype html><html lang=en><meta charset=utf-8><title>Old page</title><body>
<script type=module src=/old.js></script>"""
ALLOY_SCRIPT = """import Alloy from "/sdk/alloy.js";
window.responses = [];
const callback = (response) => responses.push(response);
window.alloy = Alloy();
alloy.setUrl("{api}/v1");
alloy.setToken("a.user.token-1");
window.call = (method, params) => alloy[method]({ callback, ...params });
"""
# Page without React, whose only use of the package is the element.
ELEMENT = """<!doctype html><html lang=en><meta charset=utf-8><title>Element</title>
<tenon-modal inline></tenon-modal><script type=module src=/main.js></script></html>"""
ELEMENT_SCRIPT = """import "@tenon/modal";
import { TenonModal } from "@tenon/modal/react";
import Alloy from "@tenon/modal/alloy";
window.isDefined = Boolean(customElements.get("tenon-modal"));
"""


@pytest.fixture(scope="module")
def session(browser: Browser) -> HostPage:
    """The host page, for all tests of this file."""
    return HostPage(browser)


def serve(host: HostPage, folder: Path, base: str) -> None:
    """Serves the files of a folder below a path of the host's site."""
    for file in folder.rglob("*"):
        if file.suffix in TYPES:
            host.site.pages[f"{base}/{file.relative_to(folder)}"] = (TYPES[file.suffix], file.read_text())


def build(project: Path, base: str, mode: str) -> Path:
    """Builds a project with Vite. Returns the folder of the result."""
    vite = ["node", "node_modules/vite/bin/vite.js", "build", "--base", base, "--mode", mode]
    run(vite, project, NODE_ENV=mode)
    return project / "dist"


class Page:
    """The page react.jsx in a browser."""

    def __init__(self, host: HostPage, path: str) -> None:
        self.host, self.path = host, path

    def load(self) -> None:
        """Loads the page."""
        self.host.load(self.path)
        self.host.wait("return Boolean(window.render)")

    def render(self, name: str | None, generation: int = 1, **props: Any) -> None:
        """Renders a component, whose functions are new ones."""
        self.host.run("render(...arguments)", name, generation, {"url": f"{self.host.api}/v1", **props})

    def events(self, count: int) -> list[list[Any]]:
        """Waits until functions of the component were called, and returns the calls."""
        events = self.host.wait("return events.length >= arguments[0] && events", count)
        assert len(events) == count
        return events

    def wait_until_closed(self) -> None:
        """Waits until the page contains nothing of a modal."""
        self.host.wait("return !document.querySelector('dialog, iframe')")

    def tokens(self) -> list[int]:
        """Returns the generations of the token functions that were called."""
        return self.host.run("return tokens")


@pytest.fixture(scope="module", params=REACT_VERSIONS)
def built(
    request: pytest.FixtureRequest, session: HostPage, sdk_package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Page:
    """The page with a version of React, whose strict mode is part of its development build."""
    folder, base = tmp_path_factory.mktemp("react"), f"/react-{request.param}"
    make_project(folder, SOURCES, sdk_package, react=request.param)
    serve(session, build(folder, base, "development"), base)
    return Page(session, f"{base}/index.html")


@pytest.fixture
def page(built: Page) -> Page:
    """The page, newly loaded."""
    built.load()
    return built


@needs_node
def test_dialog_opens_once_in_strict_mode(page: Page) -> None:
    page.render("TenonModal", open=True, integrationId="shopify", theme="light")
    [start] = page.host.messages(selector="dialog iframe")
    assert start["options"] == {"integrationId": "shopify", "theme": "light", "inline": False}
    assert start["token"] == "a.user.token-1"
    page.host.settle()
    assert page.host.run("return document.querySelectorAll('iframe').length") == 1
    assert page.tokens() == [1]


@needs_node
def test_new_functions_and_theme_apply_without_reopening(page: Page) -> None:
    page.render("TenonModal", open=True)
    page.host.messages("start")
    theme = {"dark": {"accent": "#7db8f5"}}
    for generation in (2, 3):
        page.render("TenonModal", generation, open=True, theme=theme, mode="read")
        assert page.host.messages("theme") == [{"type": "theme", "theme": theme}]
    page.host.send({"type": "event", "name": "installed", "detail": INSTALLED}, {"type": "renew"})
    assert page.events(1) == [[3, "Installed", INSTALLED]]
    assert page.host.messages("token") == [{"type": "token", "token": "a.user.token-2"}]
    assert page.tokens() == [1, 3]
    assert [message["type"] for message in page.host.messages()] == ["start", "theme", "token"]


@needs_node
def test_user_closes_the_dialog_and_it_can_open_again(page: Page) -> None:
    page.render("TenonModal", open=True)
    page.host.messages("start")
    page.host.send({"type": "close"})
    assert page.events(1) == [[1, "Close", {}]]
    page.render("TenonModal", 2, open=True)
    page.host.settle()
    assert not page.host.is_open()
    page.render("TenonModal", 3, open=False)
    page.render("TenonModal", 4, open=True)
    page.host.messages("start")
    assert page.tokens() == [1, 4]


@needs_node
@pytest.mark.parametrize("props", [{"open": True}, {"inline": True}])
def test_owner_closes_the_modal_without_an_event(page: Page, props: dict[str, bool]) -> None:
    for name, next_props in (("TenonModal", {}), (None, {})):
        page.render("TenonModal", **props)
        page.host.messages("start")
        page.render(name, **next_props)
        page.wait_until_closed()
    page.host.settle()
    assert page.host.run("return events") == []


@needs_node
def test_page_in_place_opens_anew_for_another_integration(page: Page) -> None:
    page.render("TenonModal", inline=True, integrationId="shopify", className="card", texts={"install": "Connect"})
    [start] = page.host.messages("start", selector=".card iframe")
    assert start["options"] == {"integrationId": "shopify", "texts": {"install": "Connect"}, "inline": True}
    page.render("TenonModal", 2, inline=True, integrationId="shopify", className="card", texts={"install": "Add"})
    page.host.settle()
    assert page.tokens() == [1]
    page.render("TenonModal", 3, inline=True, integrationId="crm", className="card", **{"data-testid": "modal"})
    page.host.wait("return tokens.length === 2")
    [start] = page.host.messages("start", selector=".card iframe")
    assert start["options"] == {"integrationId": "crm", "inline": True}
    assert page.host.run("return document.querySelector('.card').dataset.testid") == "modal"
    assert page.host.run("return events") == []


@needs_node
def test_hook_opens_dialogs_until_it_is_unmounted(page: Page) -> None:
    page.render("Dialog", theme="dark")
    page.host.wait("return document.querySelector('button')")
    assert not page.host.is_open()
    page.render("Dialog", 2, theme="light")
    page.host.browser.click("button")
    [start] = page.host.messages("start")
    assert start["options"] == {"integrationId": "shopify", "theme": "light", "inline": False}
    page.host.send({"type": "close"})
    page.wait_until_closed()
    page.host.browser.click("button")
    page.host.messages("start")
    page.render(None)
    page.wait_until_closed()
    assert page.tokens() == [2, 2]


@needs_node
def test_dialog_of_the_hook_that_is_opened_after_it_was_unmounted_is_closed(page: Page) -> None:
    page.render("Dialog")
    page.host.wait("return document.querySelector('button') && Boolean(window.openDialog)")
    page.render(None)
    page.host.wait("return !document.querySelector('button')")
    page.host.run("openDialog({ integrationId: 'shopify' })")
    page.wait_until_closed()


@needs_node
@pytest.mark.parametrize("props", [{"inline": True}, {"open": True}], ids=str)
def test_component_waits_for_a_token_function(page: Page, props: dict[str, bool]) -> None:
    page.host.run("window.thrown = []; addEventListener('error', ({ message }) => thrown.push(message))")
    page.render("TenonModal", token=None, **props)
    page.host.settle()
    assert not page.host.is_open()
    page.render("TenonModal", 2, **props)
    page.host.messages("start")
    page.render("TenonModal", 3, token=None, **props)
    page.wait_until_closed()
    assert page.host.run("return [thrown, events]") == [[], []]


@needs_node
def test_element_of_react_has_functions_and_objects(page: Page) -> None:
    if "18" in page.path:
        pytest.skip("React 18 sets attributes only")
    page.render("tenon-modal", inline="", prefill={"settings": {"region": "eu"}}, texts={"title": "Verbindungen"})
    [start] = page.host.messages("start", selector="tenon-modal iframe")
    assert start["options"]["prefill"] == {"settings": {"region": "eu"}}
    assert start["options"]["texts"] == {"title": "Verbindungen"}
    assert start["options"]["connects"] is True


@needs_node
def test_new_functions_apply_to_a_dialog_of_the_hook(page: Page) -> None:
    page.render("Dialog")
    page.host.browser.click("button")
    page.host.messages("start")
    page.render("Dialog", 2)
    page.host.send({"type": "event", "name": "installed", "detail": INSTALLED}, {"type": "renew"})
    assert page.events(1) == [[2, "installed", INSTALLED]]
    page.host.messages("token")
    assert page.tokens() == [1, 2]


@needs_node
def test_options_of_the_hook_are_checked(page: Page) -> None:
    page.host.run("window.thrown = []; addEventListener('error', ({ message }) => thrown.push(message))")
    page.render("Dialog", invalid=True)
    page.host.browser.click("button")
    # React 18 throws an error of a handler twice.
    message = page.host.wait("return thrown[0]")
    assert "connect must be a function" in message
    assert "on must be an object of functions" in message
    assert not page.host.is_open()


@needs_node
def test_invalid_properties_are_thrown_and_do_not_count_as_open(page: Page) -> None:
    page.host.run("window.thrown = []; addEventListener('error', ({ message }) => thrown.push(message))")
    instead = "use onInstalled and the like instead of on, and inline instead of mount"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"view": "nowhere"}, "view must be"),
        ({"on": {}}, instead),
        ({"mount": None}, instead),
    ]
    for generation, (props, reason) in zip((1, 3, 5), wrong, strict=True):
        page.render("TenonModal", generation, open=True, **props)
        assert page.events(1) == [[generation, "Close", {}]]
        [message] = page.host.wait("return thrown.length && thrown")
        assert reason in message
        page.host.run("events.length = thrown.length = 0")
        page.render("TenonModal", generation + 1, open=False)
    assert not page.host.is_open()


@needs_node
def test_production_build_registers_the_element(session: HostPage, sdk_package: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "index.html").write_text(ELEMENT)
    (sources / "main.js").write_text(ELEMENT_SCRIPT)
    make_project(tmp_path / "project", sources, sdk_package)
    dist = build(tmp_path / "project", "/element", "production")
    [bundle] = dist.rglob("*.js")
    # Unused parts of the package are left out, and with them React.
    assert "useTenonModal" not in bundle.read_text()
    assert bundle.stat().st_size < 20_000
    serve(session, dist, "/element")
    session.load("/element/index.html")
    assert session.wait("return window.isDefined")
    session.run(
        "Object.assign(document.querySelector('tenon-modal'), { token: () => 'a.user.token' }).setAttribute('url', arguments[0])",
        f"{session.api}/v1",
    )
    assert session.messages("start")[0]["token"] == "a.user.token"


@pytest.fixture
def old_page(session: HostPage) -> Callable[..., None]:
    """Calls a method of alloy.js in a page that was written for alloy-frontend."""
    serve(session, SDK, "/sdk")
    session.site.pages["/old"] = ("text/html", ALLOY)
    session.site.pages["/old.js"] = ("text/javascript", ALLOY_SCRIPT.replace("{api}", session.api))
    session.load("/old")
    session.wait("return Boolean(window.call)")
    session.browser.log()
    return lambda method, **params: session.run("call(...arguments)", method, params)


@pytest.mark.parametrize("method", ["install", "edit", "update"])
def test_installation_calls_the_callback_once(session: HostPage, old_page: Callable[..., None], method: str) -> None:
    old_page(method, integrationId="shopify", alwaysShowAuthentication=True)
    [start] = session.messages("start")
    assert start == {
        "type": "start",
        "token": "a.user.token-1",
        "options": {"integrationId": "shopify", "inline": False},
    }
    change = {"type": "event", "name": "updated" if method == "update" else "installed", "detail": INSTALLED}
    session.send(change, change, {"type": "close"})
    assert session.wait("return responses.length && responses") == [{"success": True}]
    session.wait("return !document.querySelector('dialog')")
    session.settle()
    assert session.run("return responses") == [{"success": True}]
    assert session.browser.log() == []


@pytest.mark.parametrize(
    ("params", "integration", "credential"),
    [
        ({"app": "shopify"}, "shopify", "c2"),
        ({"app": "shopify", "integrationId": "orders"}, "orders", "c2"),
        ({"app": "shopify", "integrationId": ""}, "shopify", "c2"),
        # Not that of another service.
        ({"integrationId": "orders"}, "orders", None),
        ({"app": "hubspot", "integrationId": "orders"}, "orders", None),
        ({"app": "constructor", "integrationId": "orders"}, "orders", None),
    ],
)
def test_authentication_returns_the_credential(
    session: HostPage, old_page: Callable[..., None], params: dict[str, str], integration: str, credential: str | None
) -> None:
    old_page("authenticate", **params)
    [start] = session.messages("start")
    assert start["options"]["integrationId"] == integration
    session.send({"type": "event", "name": "installed", "detail": INSTALLED})
    expected = [{"success": True, **({"credentialId": credential} if credential else {})}]
    assert session.wait("return responses.length && responses") == expected


@pytest.mark.parametrize("method", ["install", "authenticate"])
def test_closed_modal_calls_the_callback_without_success(
    session: HostPage, old_page: Callable[..., None], method: str
) -> None:
    old_page(method, integrationId="shopify")
    session.messages("start")
    session.send({"type": "event", "name": "uninstalled", "detail": {"integrationId": "shopify"}}, {"type": "close"})
    assert session.wait("return responses.length && responses") == [{"success": False}]
    session.run("alloy.install({ integrationId: 'shopify' })")
    session.messages("start")
    session.send({"type": "close"})
    session.wait("return !document.querySelector('dialog')")
    assert session.browser.log() == []


@pytest.mark.parametrize("method", ["edit", "update"])
def test_uninstalling_is_a_change_of_an_installation(
    session: HostPage, old_page: Callable[..., None], method: str
) -> None:
    old_page(method, integrationId="shopify")
    session.messages("start")
    session.send({"type": "event", "name": "uninstalled", "detail": {"integrationId": "shopify"}}, {"type": "close"})
    assert session.wait("return responses.length && responses") == [{"success": True}]


def test_pages_around_the_page_can_be_named(session: HostPage, old_page: Callable[..., None]) -> None:
    outer = "https://portal.example.com"
    session.run("alloy.setOrigins([location.origin, arguments[0]])", outer)
    old_page("install", integrationId="shopify")
    session.messages("start")
    origins = "return new URL(document.querySelector('iframe').src).searchParams.getAll('origin')"
    assert session.run(origins) == [session.run("return location.origin"), outer]


def test_switches_of_workflows_leave_the_modal_open_and_count_as_success(
    session: HostPage, old_page: Callable[..., None]
) -> None:
    old_page("edit", integrationId="shopify")
    session.messages("start")
    detail = {"integrationId": "shopify", "workflowId": "w1", "key": "orders"}
    for name in ("deactivated", "activated"):
        session.send({"type": "event", "name": name, "detail": detail})
    session.settle()
    assert session.run("return [document.querySelectorAll('dialog').length, responses.length]") == [1, 0]
    session.send({"type": "close"})
    assert session.wait("return responses.length && responses") == [{"success": True}]


def test_unsupported_parameters_warn_once(session: HostPage, old_page: Callable[..., None]) -> None:
    for _ in range(2):
        old_page("install", workflowIds=["w1"], outputOverride=[{}], title="<b>Title</b>")
        [start] = session.messages("start")
        assert start["options"] == {"inline": False}
        session.send({"type": "close"})
        session.wait("return !document.querySelector('dialog')")
    warnings = sorted(message.partition('"')[2] for message in session.browser.log())
    assert [warning.partition(": ")[2].partition(":")[0] for warning in warnings] == [
        "outputOverride is not supported",
        "title is not supported",
        "workflowIds is not supported",
    ]
