"""The page of the embedded modal, `/modal` of the deployed stack, in a browser.

The host page, another host page and the API have different origins. A proxy in front of the API
causes faults: refused tokens, slow responses and closed connections.
"""

import base64
import http.server
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import pytest
from browser import ELEMENT, ENTER, ESCAPE, TAB, Browser, WebDriverError, wait
from conftest import Environment
from emulator import Emulator
from stack import Stack
from tenon import Api

# Seconds until a test gives up waiting.
PATIENCE = 15

ICON = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()

HOST = """<!doctype html><html lang=en><meta charset=utf-8><title>Host</title>
<meta name=viewport content="width=device-width, initial-scale=1"><meta name=color-scheme content="light dark">
<body><button id=opener>Open</button><div id=place></div><script type=module src=/host.js></script>"""
# Scripts of tests use `show`, which opens a modal and reports its events in `events`.
HOST_SCRIPT = """import { open } from "{front}/tenon.js";
window.events = [];
window.token = async () => {
  const response = await fetch("/token");
  return response.ok ? response.text() : null;
};
const names = ["ready", "installed", "updated", "activated", "deactivated", "uninstalled", "close"];
window.on = Object.fromEntries(names.map((name) => [name, (detail) => events.push({ name, ...detail })]));
window.show = ({ inline, ...options }) => {
  window.modal = open({ token, on, ...inline && { mount: document.getElementById("place") }, ...options });
  modal.finished.then((last) => { window.last = last; });
};
document.getElementById("opener").onclick = () => show(window.options ?? {});
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective }) => violations.push(violatedDirective));
"""
# Host page that speaks the protocol by itself.
RAW_SCRIPT = """window.received = [];
window.heard = [];
addEventListener("message", ({ data, source, origin }) => heard.push({ data, origin, isFrame: source === frames[0] }));
window.connect = (message = { tenon: "port", v: 1 }, count = 1) => {
  const channels = Array.from({ length: count }, () => new MessageChannel());
  frames[0].postMessage(message, "*", channels.map(({ port2 }) => port2));
  for (const { port1 } of channels) port1.onmessage = ({ data }) => received.push(data);
  window.port = channels[0]?.port1;
};
window.embed = (url) => {
  const frame = Object.assign(document.createElement("iframe"), { src: url, width: 700, height: 600 });
  document.getElementById("place").replaceChildren(frame);
};
"""

# Functions with which scripts of tests find elements as users do: by their text.
FIND = """const scope = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
const visible = (selector) => [...scope.querySelectorAll(selector)].filter((element) => element.checkVisibility());
const nameOf = (element) => (element.getAttribute("aria-label") ?? (element.querySelector("strong") ?? element).innerText).trim();
const labelOf = (label) => [...label.childNodes].filter(({ nodeName }) => ["#text", "STRONG"].includes(nodeName))
  .map(({ textContent }) => textContent).join("").trim();
const buttonOf = (name) => visible("button, summary").find((element) => nameOf(element) === name);
const inputOf = (name) => visible("label").find((label) => labelOf(label) === name)?.control;
"""


class Request(NamedTuple):
    """Request of a browser."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


class Response(NamedTuple):
    """Response to a browser."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, content: str, kind: str = "text/html", status: int = 200, **headers: str) -> "Response":
        """Creates a response with a text."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"content-type": f"{kind}; charset=utf-8", **named}, content.encode())


# Refusals of API Gateway, which are not problem documents.
UNAUTHORIZED = Response.of('{"message": "Unauthorized"}', "application/json", 401)
FORBIDDEN = Response.of('{"message": "Forbidden"}', "application/json", 403)


class Server:
    """HTTP server of one origin."""

    def __init__(self, host: str) -> None:
        def serve(handler: http.server.BaseHTTPRequestHandler) -> None:
            url = urlsplit(handler.path)
            headers = {name.lower(): value for name, value in handler.headers.items()}
            body = handler.rfile.read(int(headers.get("content-length", 0)))
            response = self.respond(Request(handler.command, url.path, url.query, headers, body))
            if response:
                handler.send_response(response.status)
                for name, value in response.headers.items():
                    handler.send_header(name, value)
                handler.send_header("content-length", str(len(response.body)))
                handler.end_headers()
                handler.wfile.write(response.body)

        methods = {f"do_{method}": serve for method in HTTPMethod}
        silent = {"log_message": lambda *_: None}
        handler = type("Handler", (http.server.BaseHTTPRequestHandler,), methods | silent)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://{host}:{self.server.server_port}"

    def respond(self, request: Request) -> Response | None:
        """Returns the response to a request. Without one, the connection is closed."""
        raise NotImplementedError


@dataclass
class Fault:
    """Fault of requests whose method and path begin with a text."""

    start: str
    outcome: Response | Literal["close", "forward"]
    # Number of requests that are still affected.
    left: int
    # The request waits until it is set.
    released: threading.Event


class Front(Server):
    """Proxy in front of the API."""

    def __init__(self, api: str) -> None:
        self.api, self.requests, self.faults = api, list[Request](), list[Fault]()
        self.lock = threading.Lock()
        super().__init__("127.0.0.1")

    def fault(self, start: str, outcome: Response | Literal["close"], times: int = 1000) -> None:
        """Changes the outcome of the next requests, except those of the page and the script."""
        self.hold(start, outcome, times).set()

    def hold(
        self, start: str, outcome: Response | Literal["close", "forward"] = "forward", times: int = 1
    ) -> threading.Event:
        """Delays the next requests until the returned event is set."""
        self.faults.append(Fault(start, outcome, times, threading.Event()))
        return self.faults[-1].released

    @property
    def last_token(self) -> str:
        """Token of the last request that had one."""
        tokens = [request.headers.get("authorization", "") for request in self.requests]
        return [token for token in tokens if token][-1].removeprefix("Bearer ")

    def repair(self) -> None:
        """Ends all faults."""
        for fault in self.faults:
            fault.left = 0
            fault.released.set()
        self.faults.clear()

    def lines(self, start: str) -> list[str]:
        """Returns the method and path of the requests that began with a text."""
        return [request.line for request in self.requests if request.line.startswith(start)]

    def respond(self, request: Request) -> Response | None:
        """Forwards a request, unless there is a fault."""
        with self.lock:
            self.requests.append(request)
            applies = [fault for fault in self.faults if fault.left > 0 and request.line.startswith(fault.start)]
            fault = applies[0] if applies and request.path not in ("/modal", "/tenon.js") else None
            if fault:
                fault.left -= 1
        if not fault:
            return self.forward(request)
        fault.released.wait(60)
        if fault.outcome == "forward":
            return self.forward(request)
        return fault.outcome if isinstance(fault.outcome, Response) else None

    def forward(self, request: Request) -> Response:
        """Returns the response of the API."""
        passed = ("authorization", "content-type", "origin", "if-none-match")
        headers = {name: request.headers[name] for name in passed if name in request.headers}
        url = f"{self.api}{request.path}?{request.query}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, request.body or None, headers, method=request.method), timeout=60
            ) as response:
                status, received, body = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, received, body = error.code, error.headers, error.read()
        dropped = ("connection", "transfer-encoding", "content-length", "date", "server")
        return Response(status, {name: value for name, value in received.items() if name.lower() not in dropped}, body)


class Host(Server):
    """Back end and pages of an app that contains the modal."""

    def __init__(self, host: str, scripts: dict[str, str]) -> None:
        # Tokens of `/token`: the next ones, then the result of the function. None is a refusal.
        self.next_tokens, self.token = list[str | None](), lambda: None
        self.token_requests = 0
        self.scripts = scripts
        # Headers of the page by path.
        self.headers: dict[str, dict[str, str]] = {}
        super().__init__(host)

    def respond(self, request: Request) -> Response:
        """Returns the token, a script or the page."""
        if request.path == "/token":
            self.token_requests += 1
            token = self.next_tokens.pop(0) if self.next_tokens else self.token()
            return Response.of(token or "", "text/plain", 200 if token else 403)
        if request.path in self.scripts:
            return Response.of(self.scripts[request.path], "text/javascript")
        script = "/raw.js" if request.path == "/raw" else "/host.js"
        return Response.of(HOST.replace("/host.js", script), **self.headers.get(request.path, {}))


def form_field(name: str, label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """Returns a field of an integration."""
    return {"name": name, "label": label, "type": kind, **more}


REGIONS = [{"value": "eu", "label": "Europe"}, {"value": "us", "label": "United States"}]
SHOP: dict[str, Any] = {
    "name": "Shop",
    "description": "Sends every new order to your shop.",
    "icon": ICON,
    "credentialTypes": [
        {
            "type": "shop",
            "name": "Shop account",
            "fields": [
                form_field("address", "Address", "url", required=True, help="Of your shop.", placeholder="https://"),
                form_field("token", "Access token", "secret", required=True, pattern="shpat_.+"),
            ],
        }
    ],
    "settings": [
        form_field("region", "Region", "select", required=True, options=REGIONS),
        form_field("batch", "Orders per run", "number"),
        form_field("mail", "Send a summary", "boolean"),
    ],
    "workflows": [
        {"key": "orders", "name": "Orders", "description": "Every five minutes."},
        {"key": "stock", "name": "Stock"},
    ],
    "hints": [
        {"match": "Status Code 401", "text": "The shop no longer accepts the token.", "action": "reconnect"},
        {"match": "status code 429", "text": "The shop limits requests."},
    ],
}
ERP: dict[str, Any] = {
    "name": "Ledger",
    "description": "Invoices and customers.",
    "credentialTypes": [
        {
            "type": "erp/main",
            "name": "Ledger account",
            "fields": [
                form_field("host", "Host", "url", required=True),
                form_field("code", "Code", required=True, pattern="[0-9]{4}"),
            ],
        },
        {
            "type": "mail",
            "name": "Mail account",
            "fields": [form_field("password", "Mail password", "secret", required=True)],
        },
    ],
    "settings": [form_field(f"note{index}", f"Note {index}") for index in range(1, 6)],
    "workflows": [{"key": "invoices", "name": "Invoices"}, {"key": "items", "name": "Items"}],
}
OTHERS = ["Calendar", "Chat", "Contacts", "Forms"]
CATALOGUE = {"shop": SHOP, "erp": ERP} | {
    name.lower(): {"name": name, "workflows": [{"key": "main", "name": f"{name} updates"}]} for name in OTHERS
}
SHOP_ACCOUNT = {"address": "https://acme.shop.example", "token": "shpat_1"}


@dataclass
class User:
    """User of an environment."""

    environment: Environment
    id: str

    @classmethod
    def create(cls, environment: Environment, name: str) -> "User":
        """Creates a user."""
        return cls(environment, environment.call("POST", "/users", {"username": name}, 201)["userId"])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, status: int = 200) -> dict[str, Any]:
        """Calls the API below the path of the user, as the back end."""
        return self.environment.call(method, f"/users/{self.id}{path}", body, status)

    def token(self, **options: Any) -> str | None:
        """Returns a token, or None if the user is disabled."""
        return self.environment.backend.call("POST", f"/users/{self.id}/token", options).body.get("token")

    def install(self, integration: str = "shop", **body: Any) -> dict[str, Any]:
        """Installs an integration."""
        given = {"credentials": {"shop": {"data": SHOP_ACCOUNT}}, "settings": {"region": "eu"}}
        return self.call("PUT", f"/installations/{integration}", body or given, 201)

    def installation(self, integration: str = "shop") -> dict[str, Any]:
        """Returns an installation."""
        return self.call("GET", f"/installations/{integration}")

    def fail(self, installation: dict[str, Any], *errors: str, block: str = "http") -> None:
        """Records errors of the first workflow of an installation."""
        path = f"/workflows/{installation['workflows'][0]['workflowId']}/errors"
        for error in errors:
            body = {"executionId": "1", "blockId": "1", "blockType": block, "error": error}
            answer = self.environment.engine.call("POST", path, body)
            assert answer.status == 202, answer

    def break_account(self, installation: dict[str, Any], reason: str, kind: str = "shop") -> None:
        """Marks the credential of an installation as invalid."""
        path = f"/credentials/{installation['credentialIds'][kind]}/status"
        self.call("POST", path, {"status": "invalid", "reason": reason})


class Site:
    """Host pages in a browser, and the servers behind them."""

    def __init__(self, browser: Browser, environment: Environment, api: str) -> None:
        self.browser, self.environment, self.api = browser, environment, api
        self.front = Front(api)
        scripts = {"/host.js": HOST_SCRIPT.replace("{front}", self.front.origin), "/raw.js": RAW_SCRIPT}
        # The host is of another site than the API, so that the frame runs in a process of its own.
        self.host, self.other = Host("localhost", scripts), Host("127.0.0.1", scripts)
        self.users = 0

    def new_user(self, environment: Environment | None = None) -> User:
        """Creates a user."""
        self.users += 1
        return User.create(environment or self.environment, f"user-{self.users}")

    def sign_in(self, user: User, **options: Any) -> User:
        """Lets the hosts return tokens of a user."""
        for host in (self.host, self.other):
            host.token = lambda origin=host.origin: user.token(**{"origins": [origin], **options})
        return user

    def load(self, path: str = "/", host: Host | None = None) -> None:
        """Loads a page of a host."""
        self.browser.go((host or self.host).origin + path)
        self.browser.wait("return document.readyState === 'complete' && Boolean(window.show ?? window.embed)")

    def show(self, *texts: str, **options: Any) -> None:
        """Opens a modal, and waits until its page contains texts."""
        self.browser.leave_frames()
        self.browser.run("show(arguments[0])", options)
        self.enter()
        self.see(*texts)

    # The host page.

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the host page, and returns to its first frame if it has one."""
        self.browser.leave_frames()
        value = self.browser.run(script, *arguments)
        self.enter()
        return value

    def enter(self, selector: str = "iframe") -> None:
        """Makes the page in a frame the current one, if there is a frame."""
        self.browser.leave_frames()
        if self.browser.run("return document.querySelector(arguments[0]) !== null", selector):
            self.browser.enter_frame(selector)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Waits until the host has received events with these names, and returns all."""

        def received() -> list[dict[str, Any]] | None:
            events = self.run("return events")
            return events if [event["name"] for event in events] == list(names) else None

        try:
            return wait(received, PATIENCE, f"events {names}") if names else self.run("return events")
        except AssertionError:
            assert self.run("return events.map(({ name }) => name)") == list(names)
            raise

    def wait_closed(self) -> None:
        """Waits until no modal is open."""
        self.browser.leave_frames()
        self.browser.wait("return document.querySelector('iframe, dialog') === null")

    # The page of the modal, which is the current frame.

    def find(self, script: str, *arguments: Any) -> Any:
        """Runs a script with the functions that find elements."""
        return self.browser.run(FIND + script, *arguments)

    def text(self) -> str:
        """Returns the text that a user sees."""
        return self.browser.run("return document.body?.innerText ?? ''")

    def see(self, *texts: str) -> None:
        """Waits until the page contains texts."""

        def missing() -> list[str]:
            # A frame that has just been opened still has its empty page.
            try:
                shown = self.text()
            except WebDriverError:
                shown = ""
            return [text for text in texts if text not in shown]

        try:
            wait(lambda: not missing(), PATIENCE, f"the page shows {texts}")
        except AssertionError:
            pytest.fail(f"the page does not show {missing()}:\n{self.text()}\n{self.browser.log()}")

    def act(self, action: Callable[[], Any]) -> Any:
        """Repeats an action until its element is there and can be used."""
        errors: list[str] = []

        def done() -> bool:
            try:
                action()
            except WebDriverError as error:
                errors.append(str(error))
                return False
            return True

        try:
            wait(done, PATIENCE, "action")
        except AssertionError:
            pytest.fail(f"{errors[-1]}\n{self.text()}")

    def element(self, kind: Literal["button", "input"], name: str) -> str:
        """Returns the path of an element with a name. The sticky header does not cover it."""
        script = (
            f"const found = {kind}Of(arguments[0]); found?.scrollIntoView({{ block: 'center' }}); return found ?? null"
        )
        found = self.find(script, name)
        if found is None:
            raise WebDriverError(f"no {kind} {name!r}")
        return f"/element/{found[ELEMENT]}"

    def click(self, name: str, *texts: str) -> None:
        """Clicks the button with a name, and waits until the page contains texts."""
        self.act(lambda: self.browser.call("POST", f"{self.element('button', name)}/click"))
        self.see(*texts)

    def toggle(self, label: str) -> None:
        """Clicks a checkbox or switch."""
        self.act(lambda: self.browser.call("POST", f"{self.element('input', label)}/click"))

    def fill(self, values: dict[str, str]) -> None:
        """Types values into the fields with these labels."""
        for label, value in values.items():

            def type_value(label: str = label, value: str = value) -> None:
                path = self.element("input", label)
                self.browser.call("POST", f"{path}/clear")
                self.browser.call("POST", f"{path}/value", {"text": value})

            self.act(type_value)

    def choose(self, label: str, option: str) -> None:
        """Chooses an option."""
        script = "return [...inputOf(arguments[0]).options].find(({ text }) => text === arguments[1])"
        self.act(lambda: self.browser.call("POST", f"/element/{self.find(script, label, option)[ELEMENT]}/click"))

    def value(self, label: str) -> Any:
        """Returns the value of a field, or whether a checkbox is checked."""
        script = "const input = inputOf(arguments[0]); return input.type === 'checkbox' ? input.checked : input.value"
        return self.find(script, label)

    def error(self, label: str) -> str:
        """Returns the error of a field, as its description has it."""
        script = """const input = inputOf(arguments[0]);
            if (input.getAttribute("aria-invalid") !== "true") return "";
            return input.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id).textContent).join(" ")"""
        return self.find(script, label)

    def fill_shop(self, token: str = SHOP_ACCOUNT["token"]) -> None:
        """Fills the form of the shop."""
        self.fill({"Address": SHOP_ACCOUNT["address"], "Access token": token})
        self.choose("Region", "Europe")


@pytest.fixture(scope="module")
def session(emulator: Emulator, stack: Stack) -> Iterator[Site]:
    """A browser and an environment with a catalogue, for all tests of this file."""
    driver = os.environ.get("TENON_CHROMEDRIVER")
    if not driver:
        assert not os.environ.get("TENON_REQUIRE_BROWSER"), "TENON_REQUIRE_BROWSER is set, but not TENON_CHROMEDRIVER"
        pytest.skip("needs chromium and chromedriver")
    environment = Environment(emulator, stack)
    for integration, content in CATALOGUE.items():
        environment.call("PUT", f"/integrations/{integration}", content, 201)
    with Browser(driver) as browser:
        yield Site(browser, environment, stack.url)


@pytest.fixture
def site(session: Site) -> Iterator[Site]:
    """The host page, newly loaded. Scripts of all pages must not have failed."""
    session.browser.resize(1000, 800)
    session.sign_in(session.new_user())
    session.front.requests.clear()
    session.load()
    session.host.token_requests = 0
    session.browser.log()
    yield session
    session.front.repair()
    session.host.next_tokens.clear()
    problems = ("Uncaught", "TypeError", "ReferenceError", "Content Security Policy")
    assert [line for line in session.browser.log() if any(problem in line for problem in problems)] == []


@pytest.fixture
def user(site: Site) -> User:
    """User of the host."""
    return site.sign_in(site.new_user())


# ------------------------------------------------------------------------------------------
# Installations


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
    wait(lambda: user.installation()["settings"] == {"region": "us", "mail": True}, PATIENCE, "cleared")

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
    site.click("Reconnect", "Shop account does not work anymore: 401 from the shop")
    site.fill({"Address": "https://acme.shop.example", "Access token": "shpat_2"})
    site.click("Reconnect", "Shop account is connected again.", "Installed")
    stored = user.installation()
    assert stored["status"] == "active"
    revealed = user.environment.engine.call(
        "POST", f"/users/{user.id}/credentials/{stored['credentialIds']['shop']}/reveal"
    )
    assert revealed.body["data"] == {"address": "https://acme.shop.example", "token": "shpat_2"}

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


def fill_ledger(site: Site, code: str) -> None:
    """Fills the steps of the ledger up to the review."""
    site.see("Step 1 of 5")
    site.fill({"Host": "https://ledger.example", "Code": code})
    site.click("Continue", "Step 2 of 5", "Mail account")
    site.fill({"Mail password": "hidden-password"})
    site.click("Continue", "Step 3 of 5")
    site.fill({"Note 2": "Second note"})
    site.click("Continue", "Step 4 of 5", "Items")
    site.click("Continue", "Step 5 of 5", "Check what you entered.")


def test_long_form_has_steps_and_a_review(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    site.click("Continue", "Enter a value.")
    assert "Enter a value." in site.error("Host")
    fill_ledger(site, "123")
    shown = site.text()
    assert [text in shown for text in ("https://ledger.example", "123", "Second note", "Hidden", "None")] == [True] * 5
    assert "hidden-password" not in shown
    site.click("Back", "Step 4 of 5")
    site.toggle("Items")
    site.click("Continue", "Step 5 of 5", "Invoices")
    assert "Items" not in site.text()
    # The server finds an error of the first step.
    site.click("Install", "Step 1 of 5", "Please check the marked fields.")
    assert "does not have the expected form" in site.error("Code")
    assert site.find("return document.activeElement === inputOf('Code')")
    assert site.value("Host") == "https://ledger.example"
    fill_ledger(site, "1234")
    site.click("Install", "Ledger is installed.")
    stored = user.installation("erp")
    assert stored["settings"] == {"note2": "Second note"}
    assert [workflow["active"] for workflow in stored["workflows"]] == [True]
    assert set(stored["credentialIds"]) == {"erp/main", "mail"}
    site.click("Done")
    site.wait_closed()
    site.events("ready", "installed", "close")


def test_enter_continues_to_the_next_step(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    site.fill({"Host": "https://ledger.example", "Code": "1234"})
    site.browser.press(ENTER)
    site.see("Step 2 of 5")


def test_account_of_the_user_can_be_used_again(site: Site, user: User) -> None:
    body = {"type": "shop", "name": "Main shop", "data": SHOP_ACCOUNT}
    credential = user.call("POST", "/credentials", body, 201)["credentialId"]
    site.show("Account to use", "Main shop", integrationId="shop")
    site.choose("Region", "Europe")
    site.choose("Account to use", "Connect another account")
    site.click("Install", "Enter a value.")
    site.choose("Account to use", "Main shop")
    assert "Access token" not in site.text()
    site.click("Install", "Shop is installed.")
    assert user.installation()["credentialIds"] == {"shop": credential}


def test_prefill_fills_all_but_secrets(site: Site, user: User) -> None:
    prefill = {
        "settings": {"region": "us", "batch": 7, "mail": True, "unknown": 1},
        "credentials": {"shop": {"address": "https://prefilled.example", "token": "shpat_prefilled"}},
    }
    site.show("Access token", integrationId="shop", prefill=prefill)
    values = [site.value(label) for label in ("Region", "Orders per run", "Send a summary", "Address", "Access token")]
    assert values == ["us", "7", True, "https://prefilled.example", ""]
    # Prefilled values are not input that can be lost.
    site.click("Close")
    site.wait_closed()


def test_wrong_values_are_found_before_they_are_sent(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    site.fill({"Address": "acme", "Orders per run": "1,000"})
    site.toggle("Orders")
    site.toggle("Stock")
    site.click("Install", "Enter a number.", "https://", "Choose at least one workflow.")
    assert [bool(site.error(label)) for label in ("Address", "Orders per run", "Access token")] == [True, True, False]
    assert "Choose at least one workflow." in site.error("Orders")
    assert site.front.lines("PUT") == []
    # In German a comma begins the decimals.
    site.run("modal.close()")
    site.show("Access token", integrationId="shop", lang="de", prefill={"settings": {"batch": 2.5}})
    assert site.value("Orders per run") == "2,5"
    site.fill_shop()
    site.fill({"Orders per run": "1.000"})
    site.click("Installieren", "Geben Sie eine Zahl ein.")
    site.fill({"Orders per run": "1000,5"})
    site.click("Installieren", "Shop ist installiert.")
    assert user.installation()["settings"]["batch"] == 1000.5


def test_view_that_loads_cannot_be_changed(site: Site, user: User) -> None:
    """Input would be lost, and switches would show an old state."""
    user.install()
    site.show("Connected", integrationId="shop")
    release = site.front.hold("GET /session")
    site.fill({"Orders per run": "5"})
    site.click("Save")
    wait(lambda: site.find("return inputOf('Orders').matches('[inert] *')"), PATIENCE, "inert")
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


def test_switches_of_an_install_token_run_in_order(site: Site, user: User) -> None:
    user.install()
    site.sign_in(user, mode="install")
    site.show("Connected", integrationId="shop")
    assert "Uninstall" not in site.text()
    release = site.front.hold("PUT")
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "first switch")
    site.toggle("Stock")
    release.set()
    site.see("Stock is paused.", "Paused")
    assert [workflow["active"] for workflow in user.installation()["workflows"]] == [False, False]
    site.toggle("Stock")
    site.see("Stock is active.", "Installed")
    names = [event["name"] for event in site.events()]
    assert names == ["ready", "updated", "deactivated", "updated", "deactivated", "updated", "activated"]


def test_what_was_typed_is_not_lost_without_asking(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "Status code 401")
    site.show("Shop", "Installed")
    site.click("Shop", "Connected", "What went wrong")
    release = site.front.hold("PUT /workflows/deactivate")
    site.toggle("Orders")
    site.fill({"Orders per run": "5"})
    release.set()
    site.see("Orders is paused.")
    leave = ["Reconnect", "Back", "Close"]
    for name in leave:
        site.click(name, "Discard what you entered?")
        site.click("Keep editing")
    site.find("visible('.errors button')[0].click()")
    site.see("Discard what you entered?")
    site.browser.press(ESCAPE)
    wait(lambda: "Discard" not in site.text(), PATIENCE, "the dialog is closed")
    site.browser.press(ESCAPE)
    site.see("Discard what you entered?")
    site.click("Keep editing")
    assert site.value("Orders per run") == "5"
    site.click("Reconnect", "Discard what you entered?")
    site.click("Discard", "Reconnect Shop account")
    site.click("Back", "Connected")
    site.browser.press(ESCAPE)
    site.wait_closed()


def test_form_that_was_left_does_not_disturb_the_next_one(site: Site, user: User) -> None:
    site.show("Shop")
    site.click("Shop", "Access token")
    site.fill_shop()
    release = site.front.hold("PUT")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    site.click("Back", "Discard what you entered?")
    site.click("Discard", "Ledger")
    site.click("Ledger", "Step 1 of 5")
    site.fill({"Host": "https://ledger.example"})
    release.set()
    site.events("ready", "installed")
    site.enter()
    assert site.value("Host") == "https://ledger.example"
    site.click("Close", "Discard what you entered?")


# ------------------------------------------------------------------------------------------
# Tokens


def open_filled_form(site: Site) -> None:
    """Opens the form of the shop and fills it."""
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    site.front.requests.clear()
    site.host.token_requests = 0


def test_renewed_token_keeps_what_was_typed(site: Site, user: User) -> None:
    for refusal in (UNAUTHORIZED, FORBIDDEN):
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
    wait(lambda: "Your session has ended." not in site.text(), PATIENCE, "renewed")
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
    site.click("Try again")
    wait(lambda: site.host.token_requests == 2, PATIENCE, "second renewal")
    site.see("Your session has ended.")
    site.click("Try again")
    wait(lambda: "Your session has ended." not in site.text(), PATIENCE, "renewed")
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
    wait(lambda: all(len(site.front.lines(f"GET {path}")) == 2 for path in paths[1:]), PATIENCE, "repeated")
    assert site.host.token_requests == 1
    late.set()
    site.see("Shop", "Chat")
    assert sorted(site.front.lines("GET")) == sorted(f"GET {path}" for path in paths for _ in range(2))
    assert site.host.token_requests == 1


def test_token_of_another_user_starts_anew(site: Site, user: User) -> None:
    user.install()
    other = site.new_user()
    site.show("Shop", "Installed")
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


def test_disabled_user_loses_nothing(site: Site, user: User) -> None:
    open_filled_form(site)
    token = site.front.last_token
    user.call("POST", "/disable")
    wait(lambda: Api(site.api, token).call("GET", "/session").status != 200, 60, "the token is refused")
    site.click("Install", "Your session has ended.")
    user.call("POST", "/enable")
    site.click("Try again")
    wait(lambda: "Your session has ended." not in site.text(), PATIENCE, "renewed")
    site.click("Install", "Shop is installed.")


def test_first_token_can_be_missing_or_invalid(site: Site, user: User) -> None:
    for first in (None, "not a token", "e30.e30.e30"):
        site.load()
        site.host.token_requests = 0
        site.host.next_tokens = [first, first]
        site.show("Your session has ended.", integrationId="chat")
        site.click("Try again")
        wait(lambda: site.host.token_requests == 2, PATIENCE, "second token")
        site.see("Your session has ended.")
        site.click("Try again", "Chat", "Install")
        site.events("ready")


def test_first_token_can_be_refused(site: Site, user: User) -> None:
    site.front.fault("GET", UNAUTHORIZED)
    site.show("Your session has ended.", integrationId="chat")
    site.front.repair()
    site.click("Try again", "Chat", "Install")
    site.events("ready")
