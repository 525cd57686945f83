"""A page that uses sdk/tenon.js, with a page of the tests instead of `/modal`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from browser import Browser
from serving import Request, Response, Server
from waiting import wait

import sdk

EVENTS = ["ready", "installed", "updated", "activated", "deactivated", "uninstalled", "failed", "close"]

# Page in the frame. Unlike the real one it accepts each port, so that tests see all of them.
MODAL = """<!doctype html><meta charset=utf-8><title>Modal</title><button>Inside</button><script>
const parents = new URL(location).searchParams.getAll("origin");
const ports = [];
const messages = [];
addEventListener("message", (event) => {
  if (event.source !== parent || event.origin !== parents[0] || event.data?.tenon !== "port") return;
  const [port] = event.ports;
  ports.push(port);
  port.onmessage = ({ data }) => messages.push(data);
});
const sayReady = () => parent.postMessage({ tenon: "ready", v: 1 }, parents[0]);
const send = (...sent) => { for (const message of sent) ports.at(-1).postMessage(message); };
</script>"""

READY = "<script>sayReady();</script>"

# Page that leaves for another origin, which then reports that it is ready.
MOVED = '<!doctype html><script>location.replace("{foreign}/modal" + location.search);</script>'

# Page that reports to any parent that it is ready, and counts the ports that it gets.
FOREIGN_FRAME = """<!doctype html><script>
let received = 0;
addEventListener("message", () => { received += 1; });
parent.postMessage({ tenon: "ready", v: 1 }, "*");
</script>"""

HOST = """<!doctype html><html lang=en><meta charset=utf-8><title>Host</title>
<body><button id=first>First</button><button id=second>Second</button><div id=place><p>Other content</p></div>
<script src=/before.js></script><script type=module src=/host.js></script>"""

# The times in which the page must load and get ready are as long as the test wants.
BEFORE_SCRIPT = """const patience = Number(new URLSearchParams(location.search).get("patience"));
const realTimeout = setTimeout;
window.setTimeout = (run, ms, ...rest) => realTimeout(run, [20000, 2000].includes(ms) && patience ? patience : ms, ...rest);
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective }) => violations.push(violatedDirective));
window.closedPorts = 0;
const closePort = MessagePort.prototype.close;
MessagePort.prototype.close = function close() {
  closedPorts += 1;
  closePort.call(this);
};
window.problems = [];
addEventListener("error", ({ message }) => problems.push(message));
"""

# Scripts of tests use `show`, which opens a modal and reports its events in `events`.
HOST_SCRIPT = """import { open } from "{api}/v1/tenon.js";
window.open = open;
window.calls = 0;
window.events = [];
window.token = () => `a.user.token-${++calls}`;
window.on = Object.fromEntries({events}.map((name) => [name, (detail) => events.push([name, detail])]));
window.fail = () => { throw new Error("bug of the host"); };
window.show = (options) => { window.modal = open({ token, on, ...options }); };
"""

CLASSIC = """<!doctype html><html lang=en><meta charset=utf-8><title>Classic</title><body>
<script src="{api}/v1/tenon.global.js?version=1"></script><script src="{api}/v1/tenon.global.js?version=2"></script>"""

EARLY = """<!doctype html><html lang=en><meta charset=utf-8><title>Early</title><body>
<tenon-modal inline theme=dark integration-id=shopify></tenon-modal>
<script src=/early.js></script><script type=module src="{api}/v1/tenon.js"></script>"""

EARLY_SCRIPT = """Object.assign(document.querySelector("tenon-modal"),
  { token: () => "an.early.token", theme: "light", prefill: { settings: { region: "eu" } } });"""


class PageServer(Server):
    """Server of the pages of one origin."""

    methods = ("GET",)

    def __init__(self) -> None:
        super().__init__()
        # Content type and body by path.
        self.pages = dict[str, tuple[str, str]]()
        # Headers of responses by path.
        self.headers = dict[str, dict[str, str]]()
        # Request headers by path.
        self.requests = dict[str, dict[str, str]]()
        # Responses that wait, by path.
        self.held = dict[str, threading.Event]()

    def respond(self, request: Request) -> Response:
        """Returns the page of the path."""
        path = request.path
        self.requests[path] = request.headers
        if path in self.held:
            self.held[path].wait(60)
        kind, body = self.pages.get(path, ("text/plain", "not found"))
        return Response.of(body, kind, 200 if path in self.pages else 404, **self.headers.get(path, {}))

    def hold(self, path: str) -> threading.Event:
        """Delays the responses of a path until the returned event is set."""
        self.held[path] = threading.Event()
        return self.held[path]


class HostPage:
    """The host page in a browser, and the servers behind it."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.site, self.service, self.foreign_site = (PageServer().start() for _ in range(3))
        # Of the site of the frames: focus and scripts move between processes with delay otherwise.
        self.url = self.site.origin
        self.api = self.service.origin
        self.foreign = self.foreign_site.origin
        module, classic = (sdk.served(script) for script in (sdk.MODULE, sdk.CLASSIC))
        for base in ("", "/v1"):
            self.service.pages[f"{base}/tenon.js"] = ("text/javascript", module)
            self.service.pages[f"{base}/tenon.global.js"] = ("text/javascript", classic)
            self.service.headers[f"{base}/tenon.js"] = {"access-control-allow-origin": "*"}
            self.service.pages[f"{base}/modal"] = ("text/html", MODAL + READY)
        self.service.pages["/silent/modal"] = ("text/html", MODAL)
        self.service.pages["/moved/modal"] = ("text/html", MOVED.replace("{foreign}", self.foreign))
        self.foreign_site.pages["/modal"] = ("text/html", MODAL + READY)
        self.foreign_site.pages["/frame"] = ("text/html", FOREIGN_FRAME)
        script = HOST_SCRIPT.replace("{api}", self.api).replace("{events}", str(EVENTS))
        self.site.pages = {
            "/": ("text/html", HOST),
            "/strict": ("text/html", HOST),
            "/before.js": ("text/javascript", BEFORE_SCRIPT),
            "/host.js": ("text/javascript", script),
            "/bundle.js": ("text/javascript", module),
            "/classic": ("text/html", CLASSIC.replace("{api}", self.api)),
            "/early": ("text/html", EARLY.replace("{api}", self.api)),
            "/early.js": ("text/javascript", EARLY_SCRIPT),
        }
        strict = f"default-src 'none'; script-src {self.api} 'self'; frame-src {self.api}"
        self.site.headers["/strict"] = {"content-security-policy": strict}

    def load(self, path: str = "/") -> None:
        """Loads a page of the host."""
        self.browser.go(self.url + path)
        self.browser.wait("return document.readyState === 'complete'")

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the host page."""
        self.browser.leave_frames()
        return self.browser.run(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Waits until a script in the host page returns a true value, and returns it."""
        self.browser.leave_frames()
        return self.browser.wait(script, *arguments)

    def show(self, started: bool = True, **options: Any) -> None:
        """Opens a modal, and waits until its page has started."""
        self.run("show(arguments[0])", options)
        if started:
            self.messages("start")

    @contextmanager
    def frame(self, selector: str = "iframe") -> Iterator[Browser]:
        """Makes the page in a frame the current one while the block is executed."""
        self.browser.enter_frame(selector)
        try:
            yield self.browser
        finally:
            self.browser.leave_frames()

    def messages(self, kind: str = "", count: int = 1, selector: str = "iframe") -> list[dict[str, Any]]:
        """Waits until the frame has received messages of a type, and returns all of this type."""
        script = """if (typeof messages === "undefined") return null;
            const found = messages.filter(({ type }) => !arguments[0] || type === arguments[0]);
            return found.length >= arguments[1] && found"""

        def received() -> list[dict[str, Any]] | None:
            # A frame that has just been opened still has its empty page.
            with self.frame(selector) as frame:
                return frame.run(script, kind, count)

        return wait(received, f"{count} messages of type {kind}")

    def send(self, *messages: dict[str, Any], selector: str = "iframe") -> None:
        """Sends messages from the page in the frame."""
        with self.frame(selector) as frame:
            # The host may remove the frame meanwhile. A script of a removed frame never ends.
            frame.run("setTimeout(() => send(...arguments))", *messages)

    def box(self, selector: str = "iframe") -> tuple[float, float, float, float]:
        """Returns the position and size of an element."""
        script = "const { x, y, width, height } = document.querySelector(arguments[0]).getBoundingClientRect();"
        x, y, width, height = self.run(f"{script} return [x, y, width, height]", selector)
        return x, y, width, height

    def settle(self) -> None:
        """Waits until messages that were already sent have arrived.

        Draws five pictures, which a busy machine does later.
        """
        self.browser.run("""const picture = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
            return (async () => { for (let count = 0; count < 5; count += 1) await picture(); })()""")

    def is_open(self) -> bool:
        """Returns whether the page contains anything of a modal."""
        return self.run("return document.querySelectorAll('dialog, iframe, [role=alert]').length > 0")
