"""The page of the embedded modal, `/modal` of the deployed stack, in a browser.

The host page, another host page and the API have different origins. A proxy in front of the API
causes faults: refused tokens, slow responses and closed connections.
"""

import base64
import http.server
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPMethod
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from browser import ENTER, ESCAPE, TAB, Browser, WebDriverError, act, wait
from conftest import Environment, NewEnvironment
from emulator import Emulator
from stack import Stack
from tenon import Api

# Seconds until a test gives up waiting.
PATIENCE = 60

ICON = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()

HOST = """<!doctype html><html lang=en><meta charset=utf-8><title>Host</title>
<meta name=viewport content="width=device-width, initial-scale=1"><meta name=color-scheme content="light dark">
<body><button id=opener>Open</button><div id=place></div><script type=module src=/host.js></script>"""
# Scripts of tests use `show`, which opens a modal and reports its events in `events`.
HOST_SCRIPT = """import { open } from "{front}/tenon.js";
window.opener = open;
window.events = [];
window.token = async () => {
  const response = await fetch("/token");
  return response.ok ? response.text() : null;
};
const names = ["ready", "installed", "updated", "activated", "deactivated", "uninstalled", "close"];
window.on = Object.fromEntries(names.map((name) => [name, (detail) => events.push({ name, ...detail })]));
window.failures = [];
window.on.failed = ({ reason }) => failures.push(reason);
window.show = ({ inline, ...options }) => {
  window.modal = open({ token, on, connect: window.connect, ...inline && { mount: document.getElementById("place") }, ...options });
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
# Functions that act like a user. They return the reason if that is not possible.
ACT = """const reach = (element) => {
  if (!element) return "not found";
  element.scrollIntoView({ block: "center" });
  const { x, y, width, height } = element.getBoundingClientRect();
  const hit = document.elementFromPoint(x + width / 2, y + height / 2);
  if (!element.contains(hit)) return `covered by ${hit?.outerHTML.slice(0, 100)}`;
  if (element.disabled || element.ariaDisabled) return "disabled";
  element.focus();
  return null;
};
const press = (element) => reach(element) ?? (element.click(), null);
const type = (input, value) => {
  const reason = reach(input);
  if (reason) return reason;
  input.select();
  document.execCommand(value ? "insertText" : "delete", false, value);
  return input.value === value ? null : `has the value ${input.value}`;
};
const choose = (select, name) => {
  const reason = reach(select);
  const option = [...select?.options ?? []].find(({ text }) => text === name);
  if (reason || !option) return reason ?? "no option";
  select.value = option.value;
  for (const event of ["input", "change"]) select.dispatchEvent(new Event(event, { bubbles: true }));
  return null;
};
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
# Refusal of a token that has expired since API Gateway accepted it.
EXPIRED = Response.of(
    '{"type": "urn:tenon:problem:unauthorized", "status": 401, "message": "is required"}',
    "application/problem+json",
    401,
)
INVALID = Response.of(
    '{"status": 422, "errors": [{"pointer": "", "detail": "is wrong"}]}', "application/problem+json", 422
)


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


# The connection is closed before or after the request was forwarded, or not at all.
Outcome = Literal["close", "drop", "forward"]


@dataclass
class Fault:
    """Fault of requests whose method and path begin with a text."""

    start: str
    outcome: Response | Outcome
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

    def fault(self, start: str, outcome: Response | Outcome, times: int = 1000) -> None:
        """Changes the outcome of the next requests, except those of the page and the script."""
        self.hold(start, outcome, times).set()

    def hold(self, start: str, outcome: Response | Outcome = "forward", times: int = 1) -> threading.Event:
        """Delays the next requests until the returned event is set."""
        self.faults.append(Fault(start, outcome, times, threading.Event()))
        return self.faults[-1].released

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
        if isinstance(fault.outcome, Response):
            return fault.outcome
        response = None if fault.outcome == "close" else self.forward(request)
        return response if fault.outcome == "forward" else None

    def forward(self, request: Request) -> Response:
        """Returns the response of the API."""
        passed = ("authorization", "content-type", "origin", "if-match", "if-none-match")
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
            token = self.next_tokens.pop(0) if self.next_tokens else self.token()
            self.token_requests += 1
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
        {"match": "out of stock", "text": "Fill the stock of your shop. " * 17},
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

    def reveal(self, credential: str) -> dict[str, Any]:
        """Returns the data of a credential."""
        answer = self.environment.engine.call("POST", f"/users/{self.id}/credentials/{credential}/reveal", {})
        return answer.body["data"]

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
        # The other host is of another site than the API, so that its frames have a process of their
        # own. The log of the driver does not contain their console.
        self.host, self.other = Host("127.0.0.1", scripts), Host("localhost", scripts)
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
        if frame := self.browser.run("return document.querySelector(arguments[0])", selector):
            self.browser.call("POST", "/frame", {"id": frame})

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

    def act(self, script: str, *arguments: Any) -> None:
        """Repeats a script that acts like a user until it returns no reason for a failure."""
        act(
            lambda: self.find(ACT + script, *arguments),
            PATIENCE,
            lambda: f"{arguments}\n{self.text()}\n{self.browser.log()}",
        )

    def click(self, name: str, *texts: str) -> None:
        """Clicks the button with a name, and waits until the page contains texts."""
        self.act("return press(buttonOf(arguments[0]))", name)
        self.see(*texts)

    def toggle(self, label: str) -> None:
        """Clicks a checkbox or switch."""
        self.act("return press(inputOf(arguments[0]))", label)

    def fill(self, values: dict[str, str]) -> None:
        """Types values into the fields with these labels."""
        for label, value in values.items():
            self.act("return type(inputOf(arguments[0]), arguments[1])", label, value)

    def choose(self, label: str, option: str) -> None:
        """Chooses an option."""
        self.act("return choose(inputOf(arguments[0]), arguments[1])", label, option)

    def paste(self, label: str, text: str) -> None:
        """Pastes a text into the field with this label."""
        script = """const clipboardData = new DataTransfer(); clipboardData.setData("text", arguments[1]);
            const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
            const input = inputOf(arguments[0]); if (input.dispatchEvent(event)) input.value = arguments[1];"""
        self.find(script, label, text)

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
def session(browser: Browser, emulator: Emulator, stack: Stack) -> Site:
    """A browser and an environment with a catalogue, for all tests of this file."""
    environment = Environment(emulator, stack)
    for integration, content in CATALOGUE.items():
        environment.call("PUT", f"/integrations/{integration}", content, 201)
    return Site(browser, environment, stack.url)


@pytest.fixture
def site(session: Site) -> Iterator[Site]:
    """The host page, newly loaded. Scripts of all pages must not have failed."""
    session.browser.resize(1000, 800)
    session.front.requests.clear()
    session.load()
    session.host.token, session.host.token_requests = lambda: None, 0
    session.browser.log()
    yield session
    session.front.repair()
    session.host.next_tokens.clear()
    problems = ("Uncaught", "TypeError", "ReferenceError", "Content Security Policy")
    lines = [line for line in session.browser.log() if "frame-ancestors" not in line]
    assert [line for line in lines if any(problem in line for problem in problems)] == []


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


def test_button_that_shows_a_secret_names_its_field(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    assert site.browser.label(".secret button") == "Show Access token"


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


def test_second_click_of_a_double_click_is_not_for_the_next_step(site: Site, user: User) -> None:
    site.show("Step 1 of 5", integrationId="erp")
    fill_ledger(site, "1234")
    site.click("Back", "Step 4 of 5")
    site.find("""const click = (name, detail) => buttonOf(name).dispatchEvent(new MouseEvent("click", { bubbles: true, detail }));
      click("Continue", 1);
      click("Install", 2);""")
    site.see("Step 5 of 5", "Check what you entered.")
    site.click("Back", "Step 4 of 5")
    assert site.front.lines("PUT") == []


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
    # Another account can have a name that tells them apart.
    site.click("Manage", "Connected")
    site.click("Uninstall", "Uninstall Shop?")
    site.click("Uninstall", "Account to use")
    site.choose("Account to use", "Connect another account")
    site.fill_shop()
    site.fill({"Name of this account": "Second shop"})
    site.click("Install", "Shop is installed.")
    names = {entry["credentialId"]: entry["name"] for entry in user.call("GET", "/credentials")["data"]}
    assert names.pop(credential) == "Main shop"
    assert names == {user.installation()["credentialIds"]["shop"]: "Second shop"}


def offer_account_of_the_app(site: Site, new_environment: NewEnvironment) -> tuple[User, Callable[[str], str]]:
    """Signs in a user whose app connects the account of the shop. Returns how the app does that."""
    environment = new_environment()
    shop = {"type": "shop", "name": "Shop account", "fields": []}
    environment.call("PUT", "/integrations/shop", {**SHOP, "credentialTypes": [shop], "settings": []}, 201)
    user = site.sign_in(site.new_user(environment))

    def connect(name: str) -> str:
        body = {"type": "shop", "name": name, "data": {"refreshToken": name}}
        return user.call("POST", "/credentials", body, 201)["credentialId"]

    return user, connect


def test_account_that_the_app_connects_is_chosen_and_never_emptied(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    site.show("Shop account", "Connect this account in the app, and try again here.", integrationId="shop")
    assert not site.find("return buttonOf('Install')")
    first = connect("first")
    site.click("Try again", "Account to use", "first")
    assert "Connect another account" not in site.text()
    site.click("Install", "Shop is installed.")
    assert user.installation()["credentialIds"] == {"shop": first}
    # The account works, and there is no other one.
    site.click("Manage", "Connected")
    assert not site.find("return buttonOf('Reconnect')")
    # The account no longer works, and the app has stored another one.
    user.break_account(user.installation(), "revoked")
    site.load()
    site.show("revoked", integrationId="shop")
    site.click("Reconnect", "Connect this account in the app, and try again here.")
    assert not site.find("return buttonOf('Connect')")
    second = connect("second")
    site.click("Try again", "revoked")
    site.click("Reconnect", "Connect this account in the app, and try again here.", "Account to use", "second")
    site.click("Connect", "Shop account is connected.")
    assert user.installation()["credentialIds"] == {"shop": second}
    for credential, grant in ((first, "first"), (second, "second")):
        assert user.reveal(credential) == {"refreshToken": grant}


def test_app_connects_an_account_on_request(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    site.run("""window.connect = (account) => {
        window.account = account;
        return new Promise((resolve) => Object.assign(window, { end: resolve }));
    }""")
    site.show("Connect this account in the app.", integrationId="shop")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.account"), PATIENCE, "request")
    assert site.run("return window.account") == {"integrationId": "shop", "type": "shop"}
    # The user has closed the other window, and tries again.
    site.run("end(); delete window.account")
    site.click("Connect Shop account", "Connect this account in the app.")
    wait(lambda: site.run("return window.account"), PATIENCE, "second request")
    first = connect("first")
    site.run("end()")
    site.see("Account to use", "first")
    site.click("Install", "Shop is installed.")
    # The same if it no longer works.
    user.break_account(user.installation(), "revoked")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Connect this account in the app.")
    site.run("delete window.account")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.account"), PATIENCE, "third request")
    user.call("PUT", f"/credentials/{first}", {"data": {"refreshToken": "new"}})
    site.run("end()")
    site.see("Connected")
    assert "revoked" not in site.text()


def test_account_that_is_connected_late_does_not_change_another_view(
    site: Site, new_environment: NewEnvironment
) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    chat = {"name": "Chat", "workflows": [{"key": "main", "name": "Main work"}]}
    user.environment.call("PUT", "/integrations/chat", chat, 201)
    site.run("window.connect = () => new Promise((resolve) => Object.assign(window, { end: resolve }))")
    site.show("Shop")
    site.click("Shop", "Connect this account in the app.")
    site.click("Connect Shop account")
    wait(lambda: site.run("return window.end !== undefined"), PATIENCE, "request")
    site.click("Back", "Integrations")
    site.click("Chat", "Install")
    connect("first")
    site.run("end()")
    site.click("Install", "Chat is installed.")
    site.click("Done")
    site.wait_closed()
    site.show("Account to use", "first", integrationId="shop")


def test_account_that_the_app_replaces_in_place_works_again(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    credential = connect("first")
    site.show("Account to use", "first", integrationId="shop")
    site.click("Install", "Shop is installed.")
    user.break_account(user.installation(), "revoked")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Connect this account in the app, and try again here.")
    user.call("PUT", f"/credentials/{credential}", {"data": {"refreshToken": "new"}})
    site.click("Try again", "Connected")
    assert "revoked" not in site.text()


def test_account_that_was_deleted_meanwhile_is_named(site: Site, new_environment: NewEnvironment) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    credential = connect("first")
    site.show("Account to use", "first", integrationId="shop")
    user.call("DELETE", f"/credentials/{credential}")
    site.click("Install", "Please check the marked fields.")
    assert site.error("Account to use") == "This no longer exists."


def test_reconnect_offers_the_other_accounts(site: Site, user: User) -> None:
    installed = user.install()
    present = installed["credentialIds"]["shop"]
    body = {"type": "shop", "name": "Second shop", "data": SHOP_ACCOUNT}
    second = user.call("POST", "/credentials", body, 201)["credentialId"]
    site.show("Connected", integrationId="shop")
    # The present account is entered again.
    site.click("Reconnect", "Account to use", "Access token")
    account = {"Address": SHOP_ACCOUNT["address"], "Access token": SHOP_ACCOUNT["token"]}
    site.fill({**account, "Name of this account": "First shop"})
    site.click("Reconnect", "is connected again.", "First shop")
    assert user.installation()["credentialIds"] == {"shop": present}
    # Another one is used.
    site.click("Reconnect", "Account to use", "Access token")
    site.choose("Account to use", "Second shop")
    assert "Access token" not in site.text()
    site.click("Reconnect", "is connected again.", "Second shop")
    assert user.installation()["credentialIds"] == {"shop": second}
    assert {entry["name"] for entry in user.call("GET", "/credentials")["data"]} == {"First shop", "Second shop"}


def test_another_account_leaves_the_one_that_other_integrations_use(
    site: Site, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    for integration in ("shop", "second"):
        environment.call("PUT", f"/integrations/{integration}", {**SHOP, "name": f"The {integration}"}, 201)
    user = site.sign_in(site.new_user(environment))
    shared = user.install()["credentialIds"]["shop"]
    user.install("second", credentials={"shop": {"credentialId": shared}}, settings={"region": "eu"})
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Other integrations use this account too: The second.")
    site.choose("Account to use", "Connect another account")
    assert "Other integrations" not in site.text()
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_2", "Name of this account": "Other shop"})
    # The request arrives, but not its response.
    site.front.fault("PUT", "drop", times=1)
    site.click("Reconnect", "You seem to be offline")
    site.click("Reconnect", "This was changed in the meantime.", "Other shop")
    assert user.installation()["credentialIds"]["shop"] != shared
    assert user.call("GET", "/installations/second")["credentialIds"] == {"shop": shared}
    assert len(user.call("GET", "/credentials")["data"]) == 2


def test_dialog_can_be_closed_while_its_first_token_is_awaited(site: Site, user: User) -> None:
    signed_in, token = threading.Event(), site.host.token
    site.host.token = lambda: token() if signed_in.wait(60) else None
    site.show("Loading")
    site.click("Close")
    site.wait_closed()
    signed_in.set()


def test_choice_of_an_account_is_not_lost_without_asking(site: Site, user: User) -> None:
    user.install()
    user.call("POST", "/credentials", {"type": "shop", "name": "Second shop", "data": SHOP_ACCOUNT}, 201)
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Account to use")
    site.choose("Account to use", "Second shop")
    site.click("Close", "Discard what you entered?")


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


def test_refusals_that_a_repetition_may_end_say_so(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    for status, text in [
        (429, "Please try again shortly."),
        (503, "went wrong on our side"),
        (409, "went wrong on our side"),
    ]:
        site.front.fault(
            "PUT",
            Response.of('{"type": "urn:tenon:problem:too-many-workflows"}', "application/problem+json", status),
            times=1,
        )
        site.click("Install", text)
    site.click("Install", "Shop is installed.")


def test_account_that_the_app_connects_is_chosen_from_an_install_link(
    site: Site, new_environment: NewEnvironment
) -> None:
    user, connect = offer_account_of_the_app(site, new_environment)
    connect("first")
    second = connect("second")
    site.browser.go(install_link(site, user, "shop"))
    site.click("Continue", "Account to use")
    site.choose("Account to use", "second")
    site.click("Install", "Shop is installed.", "You can close this page now.")
    assert user.installation()["credentialIds"] == {"shop": second}


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
    site.click("Install", "Enter a number without", "https://", "Choose at least one workflow.")
    assert [bool(site.error(label)) for label in ("Address", "Orders per run", "Access token")] == [True, True, False]
    assert "Choose at least one workflow." in site.error("Orders")
    site.fill({"Orders per run": "1e999"})
    site.click("Install")
    wait(
        lambda: site.error("Orders per run") == "Enter a number without thousands separators, such as 1234.5.",
        PATIENCE,
        "error of the number",
    )
    site.fill({"Orders per run": "7"})
    # A URL, but not of a web page.
    site.fill({"Address": "shop.example:443/admin"})
    site.click("Install")
    wait(lambda: "https://" in site.error("Address"), PATIENCE, "error of the address")
    assert site.front.lines("PUT") == []
    # In German a comma begins the decimals.
    site.run("modal.close()")
    site.show("Access token", integrationId="shop", lang="de", prefill={"settings": {"batch": 2.5}})
    assert site.value("Orders per run") == "2,5"
    site.fill_shop()
    site.fill({"Orders per run": "1.000"})
    site.click("Installieren", "Geben Sie eine Zahl ohne")  # typos:ignore
    site.fill({"Orders per run": "1000,5"})
    site.click("Installieren", "Die Integration „Shop“ ist installiert.")  # typos:ignore
    assert user.installation()["settings"]["batch"] == 1000.5


# Numbers as people write them, and texts that are none, or several, by the language of the browser.
NUMBERS: dict[str, tuple[dict[str, float], list[str]]] = {
    "en-US": (
        {"7": 7, "1.5": 1.5, "2,5": 2.5, "0,125": 0.125, ",25": 0.25, "\uff11\uff10\uff10\uff10": 1000, "1 001": 1001}
        | {"12\u2019345.5": 12345.5, "\u22123": -3, "+.5": 0.5, "1e3": 1000, "2.125": 2.125},
        [
            "1,000",
            "1.5.2",
            "12 34",
            "0 125",
            "1,000.5",
            "1e999",
            "10\u00b2",
            "x",
            ".",
            "-",
            "10223456789012345",
            "10223456789012345.0",
            "1e20",
        ],
    ),
    "de-DE": (
        {"1,5": 1.5, "2.5": 2.5, "1,125": 1.125, "0.125": 0.125, "1 000,5": 1000.5},
        ["1.000", "12.345", "1.000,5"],
    ),
    # Its decimals begin with a point.
    "de-CH": ({"1.5": 1.5, "1.125": 1.125, "1\u2019000": 1000}, ["1,125"]),
    # Not a code of a language.
    "en-US@posix": ({"1.5": 1.5}, ["1,000"]),
    # The page has no texts in these languages.
    "cs-CZ": ({"1,5": 1.5, "1,125": 1.125, "1\u00a0000,5": 1000.5}, ["1.000"]),
    "cs-CZ,cs,en-US,en": ({"1,125": 1.125}, ["1.000"]),
    "fa": ({"1.5": 1.5}, ["1,000"]),
}


@pytest.mark.parametrize("language", NUMBERS)
def test_numbers_are_read_as_people_write_them(site: Site, user: User, language: str) -> None:
    user.install()
    source = f"Object.defineProperty(navigator, 'languages', {{ get: () => {language.split(',')} }});"
    added = site.browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=source)
    try:
        site.load()
        site.show("Orders per run", integrationId="shop")
        save = "Speichern" if language.startswith("de") else "Save"
        numbers, others = NUMBERS[language]
        for entered, number in numbers.items():
            site.fill({"Orders per run": entered})
            site.click(save)
            wait(lambda number=number: user.installation()["settings"].get("batch") == number, PATIENCE, entered)
        for entered in others:
            site.fill({"Orders per run": entered})
            site.click(save)
            assert site.error("Orders per run"), entered
    finally:
        site.browser.cdp("Page.removeScriptToEvaluateOnNewDocument", **added)
    assert user.installation()["settings"]["batch"] == number


def test_account_that_a_new_version_adds_is_not_connected_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    environment.call("PUT", "/integrations/shop", SHOP, 201)
    user = site.sign_in(site.new_user(environment))
    user.install()
    crm = {"type": "crm", "name": "CRM account", "fields": [form_field("key", "Key", required=True)]}
    environment.call("PUT", "/integrations/shop", {**SHOP, "credentialTypes": [*SHOP["credentialTypes"], crm]})
    site.show("Connect CRM account.", "Not connected", integrationId="shop")
    site.click("Connect", "Connect CRM account", "Key")
    site.fill({"Key": "key-1"})
    site.click("Connect", "CRM account is connected.", "Connected")
    assert site.find("return buttonOf('Connect') ?? null") is None


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
    added = site.browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=OLDER_BROWSER)
    site.load()
    yield
    site.browser.cdp("Page.removeScriptToEvaluateOnNewDocument", **added)


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


def test_errors_of_fields_that_the_page_does_not_know_are_shown(site: Site, user: User) -> None:
    """The integration has changed since the form was opened."""
    errors = [{"pointer": "/settings/plan", "detail": "is required"}, {"pointer": "", "detail": "is too long"}]
    problem = Response.of(json.dumps({"status": 422, "errors": errors}), "application/problem+json", 422)
    site.show("Install", integrationId="chat")
    site.front.fault("PUT", problem, times=1)
    site.click("Install", "plan: Please check this value: is required", "Please check this value: is too long")
    site.click("Install", "Chat is installed.")


def test_form_of_a_changed_integration_is_loaded_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    body: dict[str, Any] = {"name": "Plans", "workflows": [{"key": "main", "name": "Main work"}]}
    environment.call("PUT", "/integrations/plans", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="plans")
    plan = form_field("plan", "Plan", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan]})
    site.click("Install", "plan: Please check this value: is required")
    site.click("Reload the form", "Plan")
    site.fill({"Plan": "basic"})
    site.click("Install", "Plans is installed.")
    # The same happens to an installation.
    site.click("Manage", "Save")
    size = form_field("size", "Size", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan, size]})
    site.fill({"Plan": "full"})
    site.click("Save", "size: Please check this value: is required")
    site.click("Reload the form", "Size")
    assert site.value("Plan") == "full"
    site.fill({"Size": "10"})
    site.click("Save", "Your changes are saved.")
    assert user.installation("plans")["settings"] == {"plan": "full", "size": "10"}


def test_what_was_entered_is_kept_when_the_form_is_loaded_again(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    plan, key = (
        form_field("plan", "Plan", "select", options=[{"value": "a", "label": "A"}]),
        form_field("key", "Key", "secret"),
    )
    workflows = [{"key": name, "name": f"{name} work"} for name in ("Main", "Other")]
    types = [{"type": "shop", "name": "Shop account", "fields": [key]}]
    body: dict[str, Any] = {"name": "Plans", "workflows": workflows, "credentialTypes": types, "settings": [plan]}
    environment.call("PUT", "/integrations/plans", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="plans")
    size = form_field("size", "Size", required=True)
    environment.call("PUT", "/integrations/plans", body | {"settings": [plan, size]})
    lines = "-----BEGIN KEY-----\nAAAA\n-----END KEY-----"
    site.paste("Key", lines)
    site.choose("Plan", "A")
    site.toggle("Other work")
    site.click("Install", "size: Please check this value: is required")
    site.click("Reload the form", "Size")
    site.fill({"Size": "10"})
    site.click("Install", "Plans is installed.")
    stored = user.installation("plans")
    assert stored["settings"] == {"plan": "a", "size": "10"}
    assert [workflow["key"] for workflow in stored["workflows"] if workflow["active"]] == ["Main"]
    assert user.reveal(stored["credentialIds"]["shop"]) == {"key": lines}


def test_setting_that_needs_attention_is_not_reported_as_saved(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    code = form_field("code", "Code", required=True)
    old, new = ({"value": value, "label": value.title()} for value in ("old", "new"))
    mode = form_field("mode", "Mode", "select", options=[old, new])
    body: dict[str, Any] = {"name": "Codes", "workflows": [{"key": "main", "name": "Main work"}]}
    environment.call("PUT", "/integrations/codes", body | {"settings": [code, mode]}, 201)
    user = site.sign_in(site.new_user(environment))
    user.install("codes", credentials={}, settings={"code": "abc", "mode": "old"})
    changed = [code | {"pattern": "[0-9]+"}, mode | {"options": [new]}]
    environment.call("PUT", "/integrations/codes", body | {"settings": changed})
    site.show("Check the setting “Code”.", "Check the setting “Mode”.", integrationId="codes")
    site.click("Save", "does not have the expected format")
    site.fill({"Code": "123"})
    site.click("Save", "Your changes are saved.")
    assert "Check the setting" not in site.text()
    assert user.installation("codes")["settings"] == {"code": "123"}


def test_data_reaches_only_the_account_that_the_form_showed(site: Site, user: User) -> None:
    first = user.install()["credentialIds"]["shop"]
    account = {"type": "shop", "name": "Second shop", "data": {**SHOP_ACCOUNT, "token": "shpat_second"}}
    second = user.call("POST", "/credentials", account, 201)["credentialId"]
    site.show("Connected", integrationId="shop")
    site.click("Reconnect", "Account to use", "Access token")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_first"})
    # Another setting does not concern it.
    user.call("PUT", "/installations/shop", {"settings": {"batch": 7}})
    site.click("Reconnect", "is connected again.")
    assert user.reveal(first)["token"] == "shpat_first"
    site.click("Reconnect", "Account to use", "Access token")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_other"})
    user.call("PUT", "/installations/shop", {"credentials": {"shop": {"credentialId": second}}})
    site.click("Reconnect", "This was changed in the meantime.", "Second shop")
    assert (user.reveal(first)["token"], user.reveal(second)["token"]) == ("shpat_first", "shpat_second")


def test_integration_that_was_installed_meanwhile_keeps_its_account(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    # The request arrives, but not its response.
    site.front.fault("PUT", "drop", times=1)
    site.click("Install", "You seem to be offline")
    site.fill({"Access token": "shpat_other"})
    site.click("Install", "This was changed in the meantime.", "Uninstall")
    assert user.reveal(user.installation()["credentialIds"]["shop"]) == SHOP_ACCOUNT


def test_switch_of_an_installation_that_is_gone_shows_the_present_state(site: Site, user: User) -> None:
    for mode in ("install", "manage"):
        user.install()
        site.show("Connected", integrationId="shop", mode=mode)
        user.call("DELETE", "/installations/shop")
        site.toggle("Orders")
        site.see("This no longer exists.", "Access token")
        site.run("modal.close()")


def test_only_settings_that_the_user_has_changed_are_stored(site: Site, user: User) -> None:
    """Others may have been changed elsewhere meanwhile, or have values that inputs cannot show."""
    user.install(credentials={"shop": {"data": SHOP_ACCOUNT}}, settings={"region": "eu", "batch": 9007199254740993})
    site.show("Connected", integrationId="shop")
    user.call("PUT", "/installations/shop", {"settings": {"region": "us"}})
    site.toggle("Send a summary")
    site.click("Save", "Your changes are saved.")
    assert user.installation()["settings"] == {"region": "us", "batch": 9007199254740993, "mail": True}
    site.fill({"Orders per run": ""})
    site.click("Save")
    # The message of the first change may still be shown.
    cleared = {"region": "us", "mail": True}
    wait(lambda: user.installation()["settings"] == cleared, PATIENCE, "the number is cleared")


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


def test_pasted_secret_keeps_its_lines(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2Vw\n-----END KEY-----\n"
    fields = [form_field("key", "Key", "secret", required=True), form_field("token", "Token", "secret", required=True)]
    body = {
        "name": "Signer",
        "credentialTypes": [{"type": "signer", "name": "Signer account", "fields": fields}],
        "workflows": [{"key": "main", "name": "Main work"}],
    }
    environment.call("PUT", "/integrations/signer", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Install", integrationId="signer")
    site.paste("Key", key)
    # A text of one line often comes with a line break.
    site.paste("Token", "token\n")
    site.click("Install", "Signer is installed.")
    assert user.reveal(user.installation("signer")["credentialIds"]["signer"]) == {"key": key, "token": "token"}


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
        wait(lambda: site.find("return !inputOf('Orders').disabled"), PATIENCE, "switched")
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
    wait(lambda: site.browser.run("return Boolean(window.releaseSession)"), PATIENCE, "held session")
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
    wait(lambda: site.front.lines("PUT"), PATIENCE, "first switch")
    site.toggle("Stock")
    release.set()
    site.see("Stock is paused.", "Paused")
    assert [workflow["active"] for workflow in user.installation()["workflows"]] == [False, False]
    site.toggle("Stock")
    site.see("Stock is active.", "Installed")
    names = [event["name"] for event in site.events()]
    assert names == ["ready", "deactivated", "deactivated", "activated"]


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
    site.click("Back", "Leave while this is being saved?")
    site.click("Leave", "Ledger")
    site.click("Ledger", "Step 1 of 5")
    site.fill({"Host": "https://ledger.example"})
    release.set()
    site.events("ready", "installed")
    site.enter()
    assert site.value("Host") == "https://ledger.example"
    site.click("Close", "Discard what you entered?")


@pytest.mark.parametrize("outcome", ["forward", INVALID], ids=["saved", "rejected"])
def test_form_that_was_left_does_not_take_over_a_view_that_loads(
    site: Site, user: User, outcome: Response | Outcome
) -> None:
    site.show("Shop")
    site.click("Shop", "Access token")
    site.fill_shop()
    end_save = site.front.hold("PUT", outcome)
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    end_load = site.front.hold("GET /session")
    site.click("Back", "Leave while this is being saved?")
    site.click("Leave")
    wait(lambda: site.front.faults[-1].left == 0, PATIENCE, "request of the next view")
    end_save.set()
    responses = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/installations/'))"
    site.browser.wait(f"return {responses}.length > 0")
    site.browser.run("await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert site.find("return inputOf('Access token').matches('[inert] *')")
    end_load.set()
    site.see("Ledger")
    assert "Shop is installed." not in site.text()


# ------------------------------------------------------------------------------------------
# Tokens


def open_filled_form(site: Site) -> None:
    """Opens the form of the shop and fills it."""
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    site.front.requests.clear()
    site.host.token_requests = 0


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
    wait(lambda: site.front.lines("PUT"), PATIENCE, "first switch")
    site.toggle("Stock")
    site.sign_in(other, mode="install")
    refuse.set()
    # The page has started anew: its focus is on the heading again.
    wait(lambda: len(site.front.lines("GET /session")) >= 2, PATIENCE, "session of the other user")
    site.see("Connected")
    assert len(site.front.lines("PUT")) == 1
    for one in (user, other):
        assert [workflow["active"] for workflow in one.installation()["workflows"]] == [True, True]


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
    wait(lambda: len(site.front.lines("GET /session")) > sessions, PATIENCE, "session of the other user")
    wait(lambda: site.find("return inputOf('Orders per run')?.value") == "", PATIENCE, "empty form")


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
    wait(lambda: site.find("return document.querySelector('dialog') === null"), PATIENCE, "removal of the dialog")
    # The host may have a token that is allowed, later.
    asked = site.host.token_requests
    site.click("Try again", "This page may not be shown here.")
    wait(lambda: site.host.token_requests > asked, PATIENCE, "request for a token")
    site.sign_in(user)
    site.click("Try again", "Connected")
    site.click("Close")
    site.wait_closed()
    assert len(site.front.lines("DELETE")) == 1
    assert user.installation()


def test_form_is_sent_once_and_cannot_be_changed_meanwhile(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    release = site.front.hold("PUT", "close")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    assert site.find("return document.querySelector('main').inert")
    release.set()
    site.see("You seem to be offline")
    assert site.find("return document.querySelector('main').inert") is False
    site.click("Install", "Shop is installed.")


def test_fields_may_have_names_of_object_members(site: Site, new_environment: NewEnvironment) -> None:
    environment = new_environment()
    settings = [form_field(name, name.title()) for name in ("constructor", "valueOf", "toString")]
    body = {"name": "Odd", "settings": settings, "workflows": [{"key": "odd", "name": "Odd work"}]}
    environment.call("PUT", "/integrations/odd", body, 201)
    user = site.sign_in(site.new_user(environment))
    site.show("Constructor", integrationId="odd", prefill={"settings": {"valueOf": "7"}})
    assert [site.value(name) for name in ("Constructor", "Valueof", "Tostring")] == ["", "7", ""]
    site.click("Install", "Odd is installed.")
    assert user.installation("odd")["settings"] == {"valueOf": "7"}


def test_errors_of_deleted_workflows_are_not_shown(site: Site, user: User) -> None:
    user.fail(user.install(), "Status code 401")
    site.show("In the last seven days: 1 error")
    site.run("modal.close()")
    user.call("DELETE", "/installations/shop")
    site.show("Shop")
    assert "error" not in site.text()


def test_another_install_link_in_the_same_tab_is_read(site: Site, user: User) -> None:
    link = install_link(site, user)
    site.browser.go(f"{site.front.origin}/modal#ticket=incomplete")
    site.click("Continue", "This link is incomplete.")
    site.browser.go(link)
    site.see("Continue only if you expected it.")
    site.click("Continue", "Chat")


def test_disabled_user_loses_nothing(site: Site, user: User) -> None:
    open_filled_form(site)
    # API Gateway knows the first token for 30 seconds, but not yet the second one.
    site.host.next_tokens = [user.token(origins=[site.host.origin])]
    user.call("POST", "/disable")
    site.front.fault("PUT", UNAUTHORIZED, times=1)
    site.click("Install", "Your session has ended.")
    assert (site.host.token_requests, len(site.front.lines("PUT"))) == (1, 2)
    site.click("Try again")
    wait(lambda: site.host.token_requests == 2, PATIENCE, "renewal without a token")
    site.see("Your session has ended.")
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
        assert site.run("return failures") == ["session", "session"]


def test_first_token_can_be_refused(site: Site, user: User) -> None:
    site.front.fault("GET", UNAUTHORIZED)
    site.show("Your session has ended.", integrationId="chat")
    site.front.repair()
    site.click("Try again", "Chat", "Install")
    site.events("ready")


# ------------------------------------------------------------------------------------------
# Pages that may show the modal


@pytest.fixture(scope="module")
def other_environment(emulator: Emulator, stack: Stack) -> Environment:
    """An environment whose settings tests change."""
    return Environment(emulator, stack)


def test_origins_of_token_and_environment_decide(site: Site, other_environment: Environment) -> None:
    user = site.new_user(other_environment)

    def allow(*origins: str) -> None:
        other_environment.call("PATCH", "/environment", {"modal": {"origins": origins}})

    refused = ("This page may not be shown here.", f"this page to be shown at {site.host.origin}")
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
    header, _, signature = real.split(".")
    now = int(time.time())
    claims = {"sub": user.id, "iat": now, "exp": now + 1800, "origins": [site.host.origin]}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    # The API refuses the first token, and the page asks for another one.
    site.host.next_tokens = [f"{header}.{payload}.{signature}"]
    site.host.token = lambda: real
    site.show("This page may not be shown here.", f"this page to be shown at {site.host.origin}")
    assert site.host.token_requests == 2


def test_first_token_without_origins_can_be_refused(site: Site, other_environment: Environment) -> None:
    other_environment.call("PATCH", "/environment", {"modal": {"origins": [site.host.origin]}})
    site.host.token = site.new_user(other_environment).token
    site.front.fault("GET", UNAUTHORIZED)
    site.show("Your session has ended.")
    assert len(site.front.lines("GET /session")) == 2, "one renewal, and one repetition"
    site.front.repair()
    site.click("Try again", "There are no integrations yet.")


def frame_of(site: Site, *origins: str) -> str:
    """Returns the URL of the page for pages with these origins."""
    return f"{site.front.origin}/modal?{urlencode([('v', 1), *(('origin', origin) for origin in origins)])}"


def test_browser_blocks_frames_of_other_pages(site: Site, user: User) -> None:
    site.load("/raw")
    for url in (
        frame_of(site, site.other.origin),
        frame_of(site, "https://app.acme.example"),
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
        (both[:1], both, f"this page to be shown at {site.other.origin}"),
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
    site.browser.go(frame_of(site, site.front.origin.replace("127.0.0.1", "localhost")))
    site.see("Open this page from a link that you received")
    assert site.find("return visible('button, input, a').length") == 0
    assert site.front.lines("GET /session") == []


# ------------------------------------------------------------------------------------------
# Protocol


def start_raw(site: Site) -> None:
    """Embeds the page in a host that speaks the protocol by itself, and waits until it is ready."""
    site.load("/raw")
    site.browser.run("embed(arguments[0])", frame_of(site, site.host.origin))
    site.browser.wait("return heard.length === 1")
    assert site.browser.run("return heard") == [
        {"data": {"tenon": "ready", "v": 1}, "origin": site.front.origin, "isFrame": True}
    ]


START = "port.postMessage({ type: 'start', token: arguments[0], options: { integrationId: arguments[1], lang: arguments[2] ?? null } })"


def test_only_the_first_port_of_the_parent_is_accepted(site: Site, user: User) -> None:
    token = user.token(origins=[site.host.origin])
    start_raw(site)
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
    start_raw(site)
    site.browser.run("connect({ tenon: 'port', v: 2 })")
    site.browser.run(START, token, "shop")
    site.enter()
    site.see("Loading")
    site.run("connect()")
    site.run(START, token, "chat")
    site.see("Chat", "Install")
    assert len(site.front.lines("GET /session")) == 1
    assert site.front.lines("GET /integrations/") == ["GET /integrations/chat"]


# ------------------------------------------------------------------------------------------
# Install links


def install_link(site: Site, user: User, integration: str = "chat") -> str:
    """Returns an install link to the page behind the proxy."""
    url = user.call("GET", f"/integrations/{integration}/install-url")["url"]
    assert url.startswith(f"{site.environment.backend.url}/modal#ticket=")
    return f"{site.front.origin}/modal{url[url.index('#') :]}"


def test_install_link_works_once_and_only_after_continue(site: Site, user: User) -> None:
    link = install_link(site, user, "shop")
    site.browser.go(link)
    site.see("Connect an integration", "Continue only if you expected it.")
    assert site.front.lines("POST") == []
    site.front.fault("POST /tickets", "close", times=1)
    site.click("Continue", "You seem to be offline")
    # A user that was created by email address does not know its username, which is generated.
    # Its name cannot change the sentence in which it is shown.
    user.call("PATCH", "", {"email": "joe@acme.example", "fullName": "Joe\u2069\u202e Doe"})
    owner = "belongs to the account Joe Doe (joe@acme.example) of acme. Continue only if you know both."
    site.click("Continue", "Access token", owner)
    assert site.browser.run("return [location.hash, document.activeElement.localName]") == ["#used", "h1"]
    assert [name for name in ("Back", "Close", "Uninstall") if site.find("return buttonOf(arguments[0])", name)] == []
    site.fill_shop("wrong")
    site.click("Install", "does not have the expected form")
    site.fill_shop()
    site.click("Install", "Shop is installed.", "You can close this page now.")
    assert user.installation()["status"] == "active"
    # The token is not renewed, and not stored.
    assert len(site.front.lines("POST")) == 2
    site.browser.run("location.reload()")
    site.see("This link has already been used or has expired.")
    site.browser.go(f"{site.front.origin}/modal?again{link[link.index('#') :]}")
    site.click("Continue", "This link has already been used or has expired.")
    assert site.browser.run("return document.activeElement.localName") == "h1"


def test_right_to_left_name_does_not_change_the_order_of_a_sentence(site: Site, user: User) -> None:
    user.call("PATCH", "", {"email": "dana@acme.example", "fullName": "\u05d3\u05e0\u05d4"})
    site.browser.go(install_link(site, user, "shop"))
    site.click("Continue", "the account \u2068\u05d3\u05e0\u05d4 (dana@acme.example)\u2069 of acme.")


def test_refusal_by_a_proxy_does_not_end_the_session(site: Site, user: User) -> None:
    site.browser.go(install_link(site, user))
    site.click("Continue", "Chat")
    site.front.fault("PUT", Response.of("<h1>Access denied</h1>", "text/html", 403), times=1)
    site.click("Install", "You are not allowed to do this.")
    site.click("Install", "Chat is installed.")


def test_expired_session_of_an_install_link_ends(site: Site, user: User) -> None:
    site.browser.go(install_link(site, user))
    site.click("Continue", "Chat")
    site.front.fault("PUT", FORBIDDEN)
    site.click("Install", "Your session has ended.", "Ask the sender for a new one.")
    assert len(site.front.lines("PUT")) == 1
    assert site.find("return buttonOf('Try again') ?? null") is None


def test_wrong_install_links_say_why(site: Site, user: User) -> None:
    for fragment, text in (
        ("", "Open this page from a link that you received"),
        ("#ticket=", "Open this page from a link that you received"),
        ("#ticket=abc", "This link is incomplete."),
        (f"#ticket={'A' * 43}", "This link has already been used or has expired."),
    ):
        site.browser.go("about:blank")
        site.browser.go(f"{site.front.origin}/modal?utm_source=mail{fragment}")
        if len(fragment) > len("#ticket="):
            site.click("Continue")
        site.see(text)
        assert site.find("return visible('button, input').length") == 0


# ------------------------------------------------------------------------------------------
# Data is shown as text


def attack(name: str) -> str:
    """Returns a text that runs a script if it becomes markup, style or a URL."""
    return f"</style></script><img src=x onerror=window.hacked=1><svg/onload=alert(1)> javascript:alert(1);{name}\"'`"


# Images are icons, and neither elements nor attributes come from data.
UNTOUCHED = """return window.hacked === undefined && document.scripts.length === 1 && document.styleSheets.length === 1
  && [...document.images].every(({ src }) => src.startsWith("data:image/svg+xml;base64,"))
  && document.querySelectorAll("svg, a, iframe, object, base").length === 0
  && ![...document.querySelectorAll("*")].some((element) => element.getAttributeNames().some((name) => /^on|^style$/.test(name)))"""


def test_data_is_never_markup(site: Site, new_environment: NewEnvironment) -> None:
    # Functions keep the catalogue of an environment for ten seconds.
    environment = new_environment()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="parent.hacked=1"><script>parent.hacked=1</script></svg>'
    # Pointers of the API are cut off after 128 characters.
    kind, option = "<img src=x onerror=window.hacked=1>/~", attack("value")
    content = {
        "name": attack("name"),
        "description": attack("description"),
        "icon": "data:image/svg+xml;base64," + base64.b64encode(svg).decode(),
        "credentialTypes": [
            {
                "type": kind,
                "name": attack("account"),
                "fields": [form_field("key", attack("label"), help=attack("help"), placeholder=attack("hint"))],
            }
        ],
        "settings": [
            form_field("region", attack("setting"), "select", options=[{"value": option, "label": attack("option")}]),
            form_field("agreed", attack("agreed"), "boolean", help=attack("agreed help")),
        ],
        "workflows": [
            {"key": "main", "name": attack("workflow"), "description": attack("about")},
            {"key": "more", "name": attack("more")},
        ],
        "hints": [{"match": "known", "text": attack("explained"), "action": "reconnect"}],
    }
    environment.call("PUT", "/integrations/bad", content, 201)
    user = site.new_user(environment)
    user.call("PATCH", "", {"fullName": attack("user")})
    user.call("POST", "/credentials", {"type": kind, "name": attack("main"), "data": {"key": "1"}}, 201)
    site.host.token = lambda: user.token(origins=[site.host.origin])
    prefill = {"settings": {"region": option}, "credentials": {kind: {"key": attack("prefilled")}}}
    texts = {"install": attack("install"), "loading": attack("loading"), "unknown": attack("unknown")}
    names = [
        "name",
        "description",
        "account",
        "label",
        "help",
        "setting",
        "option",
        "agreed",
        "workflow",
        "about",
        "more",
    ]

    def see(*shown: str) -> None:
        site.see(*(attack(name) for name in shown))
        assert site.browser.run(UNTOUCHED)

    site.show(integrationId="bad", prefill=prefill, texts=texts, view=None)
    site.choose("Account to use", "Connect another account")
    see(*names, "main", "install")
    assert [site.value(attack(label)) for label in ("label", "setting")] == [attack("prefilled"), option]
    site.click(attack("install"), "is installed")
    see("name")
    installed = user.installation("bad")
    assert installed["settings"] == {"region": option, "agreed": False}
    user.fail(installed, attack("raw"), "known " + attack("error"), block=attack("block"))
    user.break_account(installed, attack("reason"), kind)
    site.click("Manage", "What went wrong")
    see("name", "account", "reason", "setting", "workflow", "raw", "explained")
    site.find("for (const details of document.querySelectorAll('details')) details.open = true")
    see("block", "error", "raw")
    site.click("Uninstall", "Uninstall")
    see("name")
    site.click("Cancel")
    site.click("Reconnect")
    see("account", "reason", "label", "help")
    site.run("modal.close()")
    site.show("What went wrong", view="errors")
    see("explained", "raw", "workflow")
    site.click("Back")
    see("name", "description")
    site.run("modal.close()")
    site.show("Diese Integration", integrationId=attack("id"), lang="de")
    assert site.browser.run(UNTOUCHED)


def test_theme_is_checked_and_applied(site: Site, user: User) -> None:
    site.show("Install", integrationId="chat")
    bad = ("#0b5cad;}*{display:none", "red", "var(--text)", "url(https://acme.example)", "#0b5cad ", 2.5, None, {})
    palettes = [{name: value} for value in bad for name in ("accent", "radius", str(value))]
    palettes += [{"font": value} for value in ("a;}*{display:none", "url(x)", "", 1, 'a"', "a" * 101)]
    palettes += [{"radius": 25}, {"radius": -1}, None, []]
    # The contrast of a palette is checked with the defaults of its absent colors.
    palettes += [{"text": "#777777", "radius": 3}, {"background": "#000000"}]
    themes = [*({"light": palette} for palette in palettes), "blue", "", 0, False, ["dark"], {"print": {}}]
    site.browser.log()
    site.run("for (const theme of arguments[0]) modal.setTheme(theme)", themes)
    site.run("modal.setTheme({ light: { text: '#333333', radius: 4, font: 'Georgia, serif', accent: '#005500' } })")
    site.browser.wait("return document.documentElement.style.getPropertyValue('--radius') === '4px'")
    script = "const style = getComputedStyle(arguments[0]); return [style.borderRadius, style.fontFamily, style.backgroundColor]"
    install = site.find("return buttonOf('Install')")
    assert site.browser.run(script, install) == ["4px", "Georgia, serif", "rgb(0, 85, 0)"]
    assert site.browser.run("return getComputedStyle(document.body).color") == "rgb(51, 51, 51)"
    warnings = [line for line in site.browser.log() if "the theme is ignored" in line]
    assert len(warnings) == len(themes)
    assert any("contrast of text on background" in line for line in warnings)
    site.run("modal.setTheme('dark')")
    site.browser.wait("return getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'")
    assert site.browser.run("return document.documentElement.getAttribute('style')") == ""
    assert site.browser.run(script, install)[0] == "8px"


# ------------------------------------------------------------------------------------------
# Views


def test_environment_gives_theme_and_language(site: Site, other_environment: Environment) -> None:
    site.sign_in(site.new_user(other_environment))
    light = {"accent": "#224466", "radius": 2}
    other_environment.call("PATCH", "/environment", {"modal": {"lang": "de", "theme": {"light": light}}})
    site.show("Diese Integration ist nicht verfügbar.", integrationId="none")  # typos:ignore
    accent = "return document.documentElement.style.getPropertyValue('--accent')"
    assert site.browser.run(accent) == "#224466"
    assert site.browser.run("return document.documentElement.lang") == "de"
    site.run("modal.setTheme({ light: { accent: '#005500' } })")
    site.browser.wait(f"{accent} === '#005500'")
    # The theme of the host replaces that of the environment, and applies until it is taken back.
    assert site.browser.run("return document.documentElement.style.getPropertyValue('--radius')") == ""
    site.run("modal.setTheme(null)")
    site.browser.wait(f"{accent} === '#224466'")
    site.run("modal.close()")
    site.show("This integration is not available.", integrationId="none", lang="en", theme="light")
    assert site.browser.run(accent) == ""
    site.run("modal.close()")
    # Without a language of the environment, that of the browser applies.
    other_environment.call("PATCH", "/environment", {"modal": {"lang": None, "theme": None}})
    site.show("This integration is not available.", integrationId="none")
    assert site.browser.run("return document.documentElement.lang") == "en"


def test_language_and_texts_of_the_host(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "one", "two words", "two words")
    site.show("Integrationen", "Installiert", "3 Fehler", lang="de")
    site.click("Fehler anzeigen", "2 Mal", "1 Mal", "Zuletzt")
    site.click("Zurück", "Installiert")
    site.click("Shop", "Verbunden", "Einstellungen")
    site.run("modal.close()")
    texts = {
        "save": "Keep it",
        "status.active": "Running",
        "errorCount.other": "{count} problems",
        "nope": "x",
        "reconnect": 7,
    }
    site.show("Running", "3 problems", texts=texts)
    site.click("Shop", "Keep it", "Reconnect")
    site.run("modal.close()")
    site.load("/raw")
    token = user.token(origins=[site.host.origin])
    for lang, texts in (("xx", {}), ("de-AT", {}), ("EN", None)):
        start_raw(site)
        site.browser.run("connect()")
        site.browser.run(
            "port.postMessage({ type: 'start', token: arguments[0], options: { integrationId: 'chat', lang: arguments[1], texts: arguments[2] } })",
            token,
            lang,
            texts,
        )
        site.enter()
        site.see("Installieren" if lang == "de-AT" else "Install")
        assert site.browser.run("return document.documentElement.lang") == ("de" if lang == "de-AT" else "en")


# States of an installation, number and button of its errors, and a plural and a singular.
# typos:off
LANGUAGES = {
    "de": ("Installiert", "Handlungsbedarf", "3 Fehler", "Fehler anzeigen", "2 Mal", "1 Mal"),
    "fr": ("Installée", "Action requise", "3 erreurs", "Afficher les erreurs", "2 fois", "1 fois"),
    "es": ("Instalada", "Requiere atención", "3 errores", "Mostrar errores", "2 veces", "1 vez"),
    "pt": ("Instalada", "Requer atenção", "3 erros", "Mostrar erros", "2 vezes", "1 vez"),
    "ja": ("インストール済み", "要対応", "3 件のエラー", "エラーを表示", "2 回", "1 回"),
}
# typos:on


def test_every_language_has_its_texts_and_plurals(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "one", "two words", "two words")
    for lang, (status, _, errors, show, twice, once) in LANGUAGES.items():
        site.show(status, errors, lang=lang)
        assert site.browser.run("return document.documentElement.lang") == lang
        site.click(show, twice, once)
        site.run("modal.close()")


def test_two_modals_do_not_disturb_each_other(site: Site, user: User) -> None:
    site.run(
        "for (const id of ['first', 'second']) document.body.append(Object.assign(document.createElement('div'), { id }))"
    )
    site.run("window.reports = []")
    for place, integration in (("first", "shop"), ("second", "chat")):
        site.browser.leave_frames()
        site.browser.run(
            """const [id, integrationId] = arguments;
            const report = (name) => ({ [name]: () => reports.push([id, name]) });
            window[id] = opener({ token, integrationId, mount: document.getElementById(id), on: { ...report("ready"), ...report("installed"), ...report("close") } });""",
            place,
            integration,
        )
    site.enter("#first iframe")
    site.see("Access token")
    site.fill_shop()
    site.enter("#second iframe")
    site.click("Install", "Chat is installed.")
    site.enter("#first iframe")
    site.click("Install", "Shop is installed.")
    site.browser.leave_frames()
    site.browser.run("first.close()")
    site.enter("#second iframe")
    site.click("Manage", "Chat updates")
    reports = site.run("return reports")
    assert sorted(reports[:2]) == [["first", "ready"], ["second", "ready"]]
    assert reports[2:] == [["second", "installed"], ["first", "installed"], ["first", "close"]]


def test_inline_page_is_as_high_as_its_content(site: Site, user: User) -> None:
    site.show("Shop", "Ledger", inline=True)
    assert site.find("return buttonOf('Close') ?? null") is None

    def fits() -> bool:
        height = site.browser.run("return Math.ceil(document.getElementById('app').getBoundingClientRect().height)")
        frame = site.run("return document.querySelector('iframe').getBoundingClientRect().height")
        return frame == height and not site.browser.run("return document.documentElement.scrollHeight > innerHeight")

    wait(fits, PATIENCE, "height of the catalogue")
    site.click("Ledger", "Step 1 of 5")
    wait(fits, PATIENCE, "height of the form")
    site.fill({"Host": "x"})
    site.browser.press(ESCAPE)
    site.click("Back", "Discard what you entered?")
    site.click("Discard", "Chat")
    site.click("Chat", "Install")
    wait(fits, PATIENCE, "height of a short form")
    site.click("Install", "Chat is installed.")
    site.click("Done", "Ledger")
    assert [event["name"] for event in site.events()] == ["ready", "installed"]
    assert site.run("return getComputedStyle(document.body).overflow") == "visible"


def test_dialog_of_an_inline_page_is_in_sight(site: Site, user: User) -> None:
    user.install()
    site.show("Uninstall", integrationId="shop", inline=True)
    site.click("Uninstall", "Uninstall Shop?")
    in_sight = """const { top, bottom } = document.querySelector("dialog").getBoundingClientRect();
      return [top, bottom, innerHeight]"""
    top, bottom, height = site.find(in_sight)
    assert 0 <= top < bottom <= height
    site.click("Uninstall", "Shop is uninstalled.")


def test_hints_are_shown_completely(site: Site, user: User) -> None:
    user.fail(user.install(), "out of stock")
    site.show("Fill the stock of your shop.", view="errors")
    assert (
        site.find("const hint = document.querySelector('.message'); return hint.scrollHeight - hint.clientHeight") == 0
    )


def test_view_that_is_opened_during_a_switch_shows_its_result(site: Site, user: User) -> None:
    user.install()
    site.show("Shop", "Installed")
    site.click("Shop", "Orders", "Stock")
    release = site.front.hold("PUT", times=2)
    site.toggle("Orders")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
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
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    site.click("Back")
    release.set()
    site.see("Ledger", "Something went wrong on our side.")


def test_switches_are_visible_in_forced_colors(site: Site, user: User) -> None:
    user.install()
    site.show("Orders", integrationId="shop")
    site.browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    try:
        switch = "getComputedStyle(document.querySelector('[role=switch]')"
        assert site.find(f"return [{switch}).appearance, {switch}, '::before').content]") == ["auto", "none"]
    finally:
        site.browser.cdp("Emulation.setEmulatedMedia", features=[])


def test_errors_have_hints_counts_and_details(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, *[f"Request failed with status code 401 at https://shop.example/{n}" for n in (1, 2)])
    user.fail(installed, "status code 429", block="rate")
    user.fail(installed, "TypeError: x is undefined\n    at run (/app/shop.js:10:5)", block="code")
    site.show("In the last seven days", view="errors")
    site.see(
        "The shop no longer accepts the token.", "Orders · 2 times · Last seen just now", "The shop limits requests."
    )
    site.see("TypeError: x is undefined")
    assert "status code" not in site.text()
    # Only the hint leads to the account, while it is valid.
    assert site.find("return visible('.errors button').length") == 1
    site.find("visible('summary').forEach((summary) => summary.click())")
    site.see(
        "http\nRequest failed with status code 401 at https://shop.example/",
        "rate\nstatus code 429",
        "code\nTypeError",
    )
    user.break_account(installed, "401 from the shop")
    site.run("modal.close()")
    # Once the account is invalid, all of its errors lead to it.
    site.show("What went wrong", "The shop limits requests.", view="errors", integrationId="shop")
    assert site.find("return visible('.errors button').length") == 3
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.click("Back", "What went wrong", "The shop limits requests.")
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")
    site.fill({"Address": SHOP_ACCOUNT["address"], "Access token": "shpat_2"})
    site.click("Reconnect", "Shop account is connected again.", "Connected")
    assert user.installation()["status"] == "active"
    site.run("modal.close()")
    # What happened before does not ask for the account again.
    site.show("The shop no longer accepts the token.", view="errors")
    assert site.find("return visible('.errors button').length") == 0
    site.run("modal.close()")
    site.sign_in(site.new_user())
    site.show("Nothing went wrong in the last seven days.", view="errors")
    site.click("Back", "Shop", "Chat")


def test_errors_of_two_integrations_lead_to_the_account_that_does_not_work(site: Site, user: User) -> None:
    ledger = {
        "erp/main": {"data": {"host": "https://erp.example", "code": "1234"}},
        "mail": {"data": {"password": "secret"}},
    }
    error = "Request failed with status code 401"
    user.fail(user.install("erp", credentials=ledger), error)
    installed = user.install()
    user.fail(installed, error)
    user.break_account(installed, "401 from the shop")
    site.show("The shop no longer accepts the token.", "Invoices · Orders · 2 times", view="errors")
    site.click("Reconnect", "Shop account no longer works: 401 from the shop")


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
    site.sign_in(user, integrations=["chat", "forms"])
    site.show("Chat", "Forms")
    shown = site.text()
    assert [name for name in ("Shop", "Ledger", "Contacts", "error") if name in shown] == []
    site.click("Chat", "Install")
    site.click("Install", "Chat is installed.")
    site.run("modal.close()")
    site.show("This integration is not available.", integrationId="shop")


def test_view_that_fails_leads_back_to_the_one_before(site: Site, user: User) -> None:
    user.fail(user.install(), "Error: 500")
    site.show("Show errors", inline=True)
    site.front.fault("GET /errors/groups", Response.of("{}", "application/json", 503))
    site.click("Show errors", "Try again")
    site.click("Try again", "Something went wrong")
    site.click("Back", "Chat")
    site.click("Chat", "Install")
    site.click("Back", "Shop")
    site.front.repair()
    site.click("Shop", "Error: 500")


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
    wait(lambda: site.front.lines("DELETE"), PATIENCE, "request")
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
    wait(lambda: site.front.lines("DELETE"), PATIENCE, "request")
    site.click("Cancel")
    release.set()
    site.see("Something went wrong on our side.", "Connected")
    site.events("ready")


def test_leaving_a_form_that_is_being_sent_is_confirmed_although_nothing_was_entered(site: Site, user: User) -> None:
    site.show("Chat")
    site.click("Chat", "Install")
    release = site.front.hold("PUT")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    site.click("Back", "Leave while this is being saved?")
    site.click("Wait")
    site.click("Back", "Leave while this is being saved?")
    release.set()
    site.see("Chat is installed.")
    # Nothing is left to save.
    site.browser.wait("return document.querySelector('dialog') === null")


def test_question_about_a_form_that_is_being_sent_ends_when_it_is_refused(site: Site, user: User) -> None:
    site.show("Access token", integrationId="shop")
    site.fill_shop()
    release = site.front.hold("PUT", "close")
    site.click("Install")
    wait(lambda: site.front.lines("PUT"), PATIENCE, "request")
    site.click("Close", "Leave while this is being saved?")
    release.set()
    site.see("You seem to be offline")
    site.browser.wait("return document.querySelector('dialog') === null")
    site.click("Close", "Discard what you entered?")
    site.click("Keep editing")
    assert site.value("Access token") == SHOP_ACCOUNT["token"]


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


def test_search_finds_names_and_descriptions(site: Site, user: User) -> None:
    site.show("Shop", "Ledger", "Chat")
    search = "const input = document.querySelector('[type=search]'); input.focus(); input.select(); document.execCommand('insertText', false, arguments[0])"
    cards = "return visible('.card strong').map(({ innerText }) => innerText)"
    assert site.find(cards) == ["Calendar", "Chat", "Contacts", "Forms", "Ledger", "Shop"]
    for text, found in (("cha", ["Chat"]), ("INVOICES ", ["Ledger"]), ("\uff43\uff48\uff41", ["Chat"]), ("zzz", [])):
        site.browser.run(search, text)
        assert site.find(cards) == found
    site.see("No integration matches “zzz”.")
    # The first Escape clears the search.
    site.browser.press(ESCAPE)
    site.browser.wait("return document.querySelector('[type=search]').value === ''")
    assert len(site.find(cards)) == 6
    site.browser.press(ESCAPE)
    site.wait_closed()


def test_cut_session_does_not_break_the_page(site: Site, user: User) -> None:
    installed = user.install()
    user.fail(installed, "an error")
    session = Api(site.environment.backend.url, user.token()).call("GET", "/session").body
    cut = {**session, "workflows": [], "credentials": [], "truncated": True}
    site.front.fault("GET /session", Response.of(json.dumps(cut), "application/json"))
    site.show("an error", "1 time", integrationId="shop")
    site.run("modal.close()")
    site.show("an error", view="errors")
    # A response that ends early is a failure of the network.
    site.run("modal.close()")
    site.front.repair()
    site.front.fault("GET /session", Response.of(json.dumps(session)[:-20], "application/json"), times=1)
    site.show("You seem to be offline", integrationId="shop")
    site.click("Try again", "Connected")
    site.front.fault("PUT", Response.of('{"integrationId": "sh', "application/json"), times=1)
    site.fill({"Orders per run": "3"})
    site.click("Save", "You seem to be offline")
    site.click("Save", "Your changes are saved.")
    assert [event["name"] for event in site.events()] == ["ready", "close"] * 2 + ["ready", "updated"]


def test_catalogue_for_an_integration_leads_back(site: Site, user: User) -> None:
    site.show("Shop", "Chat", view="catalogue", integrationId="chat")
    site.click("Chat", "Install")
    site.click("Back", "Ledger")
    site.run("modal.close()")
    # Without the catalogue there is nowhere to go back to.
    site.show("Install", view="installation", integrationId="chat")
    assert site.find("return buttonOf('Back') ?? null") is None
    site.click("Install", "Chat is installed.")
    site.click("Manage", "Chat updates")
    site.click("Uninstall", "Uninstall Chat?")
    site.click("Uninstall", "Chat is uninstalled.", "Install")
    site.run("modal.close()")
    site.show("Nothing went wrong", view="errors", integrationId="chat")
    site.click("Back", "Install")


# ------------------------------------------------------------------------------------------
# Network and time

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

    def execute(command: str, parameters: dict[str, Any]) -> Any:
        return site.browser.call("POST", "/goog/cdp/execute", {"cmd": f"Page.{command}", "params": parameters})

    added = execute("addScriptToEvaluateOnNewDocument", {"source": CLOCK})
    yield
    execute("removeScriptToEvaluateOnNewDocument", added)


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
    wait(lambda: site.host.token_requests == 3, PATIENCE, "renewal of a visible tab")
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
    wait(lambda: site.browser.run("return pass(30000)"), PATIENCE, "timeout of the renewal")
    site.see("Your session has ended.")


def test_slow_network_is_announced(site: Site, user: User, clock: None) -> None:
    announced = "return document.getElementById('status').textContent"
    for start, name, text in (("GET /session", "Chat", "Install"), ("PUT", "Install", "Chat is installed.")):
        if name == "Chat":
            site.show("Chat")
        release = site.front.hold(start)
        site.click(name)
        wait(lambda: site.browser.run("return pass(5000)"), PATIENCE, "timer of the slow request")
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
    wait(lambda: site.browser.run("return pass(5000)"), PATIENCE, "timer of the action")
    assert site.browser.run("return document.getElementById('status').textContent") == ""


def test_offline_keeps_what_was_typed(site: Site, user: User) -> None:
    site.front.fault("", "close")
    site.show("You seem to be offline", integrationId="shop")
    assert (site.events(), site.run("return failures")) == ([], ["request"]), "no view is shown"
    site.click("Try again")
    wait(lambda: len(site.front.lines("GET /session")) == 2, PATIENCE, "second attempt")
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
    wait(lambda: len(site.front.lines("PUT")) == 2, PATIENCE, "second request")
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
    wait(lambda: len(site.front.lines("DELETE")) == 2, PATIENCE, "second request")
    site.click("Uninstall", "Shop is uninstalled.")
    assert [event["name"] for event in site.events()] == ["ready", "installed", "uninstalled"]


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


# ------------------------------------------------------------------------------------------
# Accessibility


def test_focus_moves_to_new_views_and_back_to_the_host(site: Site, user: User) -> None:
    focused = "return document.activeElement.localName"
    site.run("document.getElementById('opener').focus(); document.getElementById('opener').click()")
    site.enter()
    site.see("Shop", "Ledger")
    # The first view leaves the focus where it is.
    assert site.browser.run(focused) == "body"
    for name, text in (
        ("Ledger", "Step 1 of 5"),
        ("Back", "Shop"),
        ("Chat", "Install"),
        ("Install", "Chat is installed."),
    ):
        site.click(name, text)
        assert site.browser.run(focused) == "h1", name
    site.click("Manage", "Chat updates")
    site.click("Uninstall", "Uninstall Chat?")
    assert site.find("return document.activeElement === buttonOf('Cancel')")
    site.browser.press(ESCAPE)
    site.browser.wait("return document.querySelector('dialog') === null")
    assert site.find("return document.activeElement === buttonOf('Uninstall')")
    site.toggle("Chat updates")
    site.see("Chat updates is paused.")
    assert site.find("return document.activeElement === inputOf('Chat updates')")
    site.browser.press(ESCAPE)
    site.wait_closed()
    assert site.browser.run("return document.activeElement.id") == "opener"


LONG = {
    "name": "W" * 128,
    "description": "Description " * 80,
    "credentialTypes": [
        {
            "type": "long",
            "name": "Long account name " * 7,
            "fields": [
                form_field("first", "Z" * 128, help="Help" * 100, required=True),
                form_field("secret", "Secret", "secret", placeholder="P" * 100),
                form_field("options", "Options", "select", options=[{"value": "a", "label": "M" * 128}]),
                form_field("agreed", "Agreed" * 20, "boolean"),
            ],
        }
    ],
    "settings": [form_field(f"setting{index}", f"Setting {index}") for index in range(6)],
    "workflows": [{"key": f"w{index}", "name": "Workflow" * 20, "description": "D" * 300} for index in range(2)],
}
# Rules that depend on the theme or the width.
VISUAL = ["color-contrast", "target-size", "link-in-text-block", "scrollable-region-focusable"]
AXE = """const [tags, rules, isFirst] = arguments;
const only = isFirst ? { type: "tag", values: tags } : { type: "rule", values: rules };
const { violations, passes } = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
const wide = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
  && element.id !== "status" && element.getBoundingClientRect().right > innerWidth + 0.5);
return [
  ...passes.length ? [] : ["nothing was checked"],
  ...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" ")}`),
  ...wide.map((element) => `wider than ${innerWidth} pixels: ${element.outerHTML.slice(0, 200)}`),
  ...document.documentElement.scrollWidth > innerWidth ? ["scrolls sideways"] : [],
];"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def check_view(site: Site, name: str) -> None:
    """Checks the accessibility of the present view in both themes and at two widths."""
    problems = list[str]()
    axe = Path(os.environ["TENON_AXE"]).read_text()
    if not site.browser.run("return typeof axe === 'object'"):
        site.browser.run(axe)
    for theme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        site.browser.resize(width, 800)
        prefer(site, theme)
        script = "return innerWidth === arguments[0] && document.documentElement.dataset.scheme === arguments[1]"
        site.browser.wait(script, 720 if width > 720 and site.browser.run("return parent !== window") else width, theme)
        first = (theme, width) == ("light", 1280)
        problems += [f"{name} {theme} {width}: {problem}" for problem in site.browser.run(AXE, TAGS, VISUAL, first)]
    assert problems == []


def prefer(site: Site, theme: str) -> None:
    """Sets the theme that the browser prefers."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    body = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
    site.browser.call("POST", "/goog/cdp/execute", body)


@pytest.fixture
def views(site: Site) -> Iterator[Site]:
    """Resets the preferences of the browser."""
    yield site
    prefer(site, "light")
    site.browser.resize(1000, 800)


def test_views_of_an_integration_are_accessible(views: Site, other_environment: Environment) -> None:
    site = views
    other_environment.call("PATCH", "/environment", {"modal": {"lang": None, "theme": None}})
    other_environment.call("PUT", "/integrations/long", LONG, 201)
    user = site.sign_in(site.new_user(other_environment))
    site.show("Step 1 of 4", integrationId="long")
    site.click("Continue", "Enter a value.")
    check_view(site, "step with an error")
    site.fill({"Z" * 128: "x" * 200})
    for step in range(2, 5):
        site.click("Continue", f"Step {step} of 4")
    check_view(site, "review")
    site.browser.press(ESCAPE)
    site.see("Discard what you entered?")
    check_view(site, "dialog")
    site.click("Keep editing")
    site.click("Install", "is installed.")
    check_view(site, "result")
    installed = user.installation("long")
    user.fail(installed, "E" * 300, "line\n" * 30)
    user.break_account(installed, "R" * 300, "long")
    site.click("Manage", "Needs attention")
    site.find("visible('summary').forEach((summary) => summary.click())")
    site.front.fault("PUT", UNAUTHORIZED)
    site.click("Save", "Your session has ended.")
    check_view(site, "installation")
    site.click("Reconnect", "Reconnect Long account name")
    check_view(site, "reconnect")
    site.run("modal.close()")
    for lang, (_, status, *_) in LANGUAGES.items():
        site.show(status, integrationId="long", mode="read", lang=lang)
        check_view(site, f"installation without changes in {lang}")
        site.run("modal.close()")


def test_views_of_accounts_that_the_app_connects_are_accessible(views: Site, new_environment: NewEnvironment) -> None:
    site = views
    user, connect = offer_account_of_the_app(site, new_environment)
    site.show("Connect this account in the app", integrationId="shop", lang="en")
    check_view(site, "missing account")
    connect("first")
    site.click("Try again", "Account to use")
    site.click("Install", "Shop is installed.")
    user.break_account(user.installation(), "revoked")
    connect("second")
    site.click("Manage", "revoked")
    site.click("Reconnect", "Account to use")
    check_view(site, "choice of another account")


def test_catalogue_and_pages_that_end_are_accessible(views: Site, user: User) -> None:
    site = views
    installed = user.install()
    user.fail(installed, "status code 401", "an error")
    user.install("chat", workflows=["main"])
    site.show("Shop", "Ledger", "2 errors", lang="en")
    check_view(site, "catalogue")
    site.click("Show errors", "The shop no longer accepts the token.")
    check_view(site, "errors")
    site.run("modal.close()")
    site.host.next_tokens = [None]
    site.show("Your session has ended.")
    check_view(site, "session end")
    site.browser.go(install_link(site, user))
    site.see("Continue only if you expected it.")
    check_view(site, "install link")
    site.click("Continue", "Chat updates")
    check_view(site, "page of an install link")


def test_tab_reaches_every_control(site: Site, user: User) -> None:
    """No control is behind the sticky header or buttons, and the focus is visible."""
    name = "const nameIn = (element) => element.ariaLabel ?? element.labels?.[0]?.innerText ?? element.innerText;"
    focused = f"""{name} const element = document.activeElement;
        const {{ x, y, width, height }} = element.getBoundingClientRect();
        const isReachable = element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        return [nameIn(element), isReachable, getComputedStyle(element).outlineStyle]"""
    site.browser.resize(360, 500)
    site.show("Access token", integrationId="shop")
    for text in ("Access token", "Not working"):
        site.see(text)
        wanted = site.find(
            f"{name} document.querySelector('h1').focus(); return visible('button, input, select').map(nameIn)"
        )
        assert len(wanted) > 7
        reached = list[list[Any]]()
        for _ in wanted:
            site.browser.press(TAB)
            reached.append(site.browser.run(focused))
        assert reached == [[label, True, "solid"] for label in wanted]
        site.run("modal.close()")
        if text == "Access token":
            user.break_account(user.install(), "expired")
            site.show(integrationId="shop")


def test_refused_page_is_shown_once_a_renewed_token_allows_it(site: Site, user: User, clock: None) -> None:
    site.sign_in(user, origins=[site.other.origin])
    site.show("This page may not be shown here.")
    site.sign_in(user)
    due = site.browser.run("return Math.max(...timers.filter(({ run }) => run).map(({ ms }) => ms))")
    site.browser.run("pass(arguments[0])", due)
    site.see("Ledger", "Chat")
    site.events("ready")
