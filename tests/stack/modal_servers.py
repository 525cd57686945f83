"""Servers around the page of the modal: the app that contains it, and a proxy in front of the API

The proxy causes faults: refused tokens, slow responses and closed connections.
"""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from serving import Request, Response, Server

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
        super().__init__()

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
        self.next_tokens = list[str | None]()
        self.token: Callable[[], str | None] = lambda: None
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
        return Response.of(HOST.replace("/host.js", script), "text/html", 200, **self.headers.get(request.path, {}))
