"""The console in a browser, as an operator uses it."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import tenon
from browser import USE, Browser, act
from deployed import Environment
from emulator import Emulator
from receiver import Receiver
from stack import Stack
from waiting import wait

# Text that runs a script if it is interpreted as markup.
MARKUP = '<img src=x onerror="window.executed=1"><script>window.executed=1</script>'

# Records what the page does: requests, messages, violations of its policy, copies and downloads.
# `skip` runs the timers of the next milliseconds as if they had passed. Pauses below a second
# are real.
SPY = """if (location.pathname.endsWith("/console")) {
  const { fetch, setTimeout, clearTimeout } = window;
  const timers = new Map();
  let skipped = 0;
  const now = () => performance.now() + skipped;
  const rest = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
  const spy = window.spy = { requests: [], open: 0, messages: [], held: null, waiting: [], violations: [], copied: [], downloads: [], offline: null, cut: null, refused: null, scheme: null };
  addEventListener("securitypolicyviolation", ({ violatedDirective }) => spy.violations.push(violatedDirective));
  new MutationObserver(() => {
    const text = document.querySelector(".message")?.textContent;
    if (text && text !== spy.messages.at(-1)) spy.messages.push(text);
  }).observe(document, { subtree: true, childList: true, characterData: true });
  window.fetch = async (url, options) => {
    const { pathname, search } = new URL(url);
    spy.requests.push(`${options.method} ${pathname.slice(new URL(".", location.href).pathname.length - 1)}${search}`);
    const request = spy.requests.at(-1);
    const concerns = (start) => start !== null && request.startsWith(start);
    spy.open += 1;
    try {
      if (concerns(spy.held)) await new Promise((resolve) => { spy.waiting.push(resolve); });
      if (concerns(spy.offline)) throw new TypeError("offline");
      if (concerns(spy.refused)) return new Response("<h1>Access denied</h1>", { status: 403, headers: { "content-type": "text/html" } });
      const authorization = spy.scheme ? options.headers.authorization.replace("Bearer", spy.scheme) : options.headers.authorization;
      const response = await fetch(url, { ...options, headers: { ...options.headers, authorization } });
      // A request is open until its body is read.
      const body = await response.arrayBuffer();
      return new Response(body.byteLength ? body.slice(0, concerns(spy.cut) ? 20 : undefined) : null, response);
    } finally {
      spy.open -= 1;
    }
  };
  window.setTimeout = (action, wait = 0) => {
    if (wait < 1000) return setTimeout(action, wait);
    const run = () => { timers.delete(id); action(); };
    const id = setTimeout(run, wait);
    timers.set(id, { due: now() + wait, run, id });
    return id;
  };
  window.clearTimeout = (id) => { timers.delete(id); clearTimeout(id); };
  const settle = async () => { do await rest(60); while (spy.open); };
  spy.skip = async (milliseconds) => {
    const end = now() + milliseconds;
    for (;;) {
      const next = [...timers.values()].sort((a, b) => a.due - b.due)[0];
      if (!next || next.due > end) break;
      skipped += Math.max(0, next.due - now());
      clearTimeout(next.id);
      next.run();
      await settle();
    }
    skipped += Math.max(0, end - now());
  };
  Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => { spy.copied.push(text); } } });
  let blob = null;
  URL.createObjectURL = (saved) => { blob = saved; return "blob:"; };
  const { click } = HTMLAnchorElement.prototype;
  HTMLAnchorElement.prototype.click = async function () {
    if (this.download) spy.downloads.push({ name: this.download, text: await blob.text() });
    else click.call(this);
  };
}"""

# Functions with which scripts find elements as users do: by their text.
FIND = (
    USE
    + """const textOf = (element) => (element.getAttribute("aria-label") ?? element.innerText).replace(/\\s+/g, " ").trim();
const named = (selector, name) => {
  const found = visible(selector);
  return found.find((element) => textOf(element) === name) ?? found.find((element) => textOf(element).startsWith(name));
};
const fieldOf = (name) => visible("label").find((label) => label.control && [...label.childNodes]
  .find(({ textContent }) => textContent.trim())?.textContent.replace(/ \\*$/, "").trim() === name)?.control;
const controlOf = (name) => named("button, a[href], summary, input[aria-label]", name) ?? fieldOf(name) ?? named("label.check", name)?.control;
const type = (input, value) => {
  const reason = reach(input);
  if (reason) return reason;
  if (input.type === "datetime-local") {
    input.value = value;
    return null;
  }
  input.select();
  document.execCommand(value ? "insertText" : "delete", false, value);
  input.blur();
  return null;
};
"""
)

# Themes and widths in which views are checked.
LOOKS = (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360))
# Rules of the accessibility checker that depend on theme or width, and the tags of the others.
VISUAL = ["color-contrast", "target-size", "link-in-text-block", "scrollable-region-focusable"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AXE = """const [tags, rules, isFirst] = arguments;
const only = isFirst ? { type: "tag", values: tags } : { type: "rule", values: rules };
// The page behind a dialog is inert, and was checked without it.
const checked = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
const { violations, passes } = await axe.run(checked, { runOnly: only, resultTypes: ["violations"] });
const isClipped = (element) => { for (let at = element.parentElement; at; at = at.parentElement) if (getComputedStyle(at).overflowX !== "visible") return true; };
const wide = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
  && element.getBoundingClientRect().right > innerWidth + 0.5 && !isClipped(element));
const scrolling = [...document.querySelectorAll("main, dialog, .table")].filter((element) => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1);
return [
  ...passes.length ? [] : ["nothing was checked"],
  ...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" ")}`),
  ...wide.map((element) => `wider than ${innerWidth} pixels: ${element.outerHTML.slice(0, 200)}`),
  ...innerWidth < 500 ? scrolling.map((element) => `scrolls sideways: ${element.outerHTML.slice(0, 200)}`) : [],
  ...document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [],
];"""


class Console:
    """The console, with an environment of its own."""

    def __init__(self, browser: Browser, emulator: Emulator, stack: Stack) -> None:
        self.browser, self.emulator, self.stack = browser, emulator, stack
        self.environment = Environment(emulator, stack)
        self.url = f"{stack.url}/console"

    @contextlib.contextmanager
    def opened(self) -> Iterator["Console"]:
        """Loads the page, and checks at the end that no script failed or violated its policy."""
        browser = self.browser
        with browser.preloaded(SPY):
            browser.resize(1280, 900)
            browser.prefer("light")
            # Chromium drops entries of a history with 50 of them, and not always the oldest one.
            browser.cdp("Page.resetNavigationHistory")
            self.load()
            try:
                browser.log()
                yield self
                self._check_policy()
                lines = [line for line in browser.log() if "Failed to load resource" not in line]
            finally:
                # The next test is neither signed in nor blamed for violations of this one.
                browser.run("sessionStorage.clear()")
                browser.go("about:blank")
        assert lines == []

    def _check_policy(self) -> None:
        """Checks that the present document has neither violated its policy nor executed data."""
        assert self.browser.run("return [window.spy?.violations ?? [], window.executed ?? 0]") == [[], 0]

    # The environment.

    def key(self, *scopes: str) -> str:
        """Creates an API key."""
        return tenon.make_key(self.emulator, self.stack, self.environment.id, scopes[0], list(scopes))

    def revoke(self, key: str) -> None:
        """Revokes an API key."""

        def invoke(function: str, **payload: str) -> dict[str, Any]:
            payload["environmentId"] = self.environment.id
            return tenon.invoke(self.emulator, self.stack.outputs[function], payload)

        [revoked] = [known["keyId"] for known in invoke("KeysList")["keys"] if key.startswith(known["prefix"])]
        assert invoke("KeysRevoke", keyId=revoked)["revokedAt"]
        # The API accepts a known header for a while, but not another spelling of its scheme.
        self.browser.run("spy.scheme = 'bearer'")

    def get(self, path: str) -> dict[str, Any]:
        """Reads a resource as the back end."""
        return self.environment.call("GET", path)

    def user(self, name: str, **members: Any) -> str:
        """Creates a user, and returns its id."""
        return self.environment.call("POST", "/users", {"username": name, **members}, 201)["userId"]

    def workflow(self, user: str, name: str) -> str:
        """Creates a workflow, and returns its id."""
        return self.environment.call("POST", "/workflows", {"userId": user, "name": name}, 201)["workflowId"]

    def record(self, workflow: str, *errors: str | dict[str, Any], **members: Any) -> list[str]:
        """Records errors of a workflow, given as texts or with other members. Returns their ids."""
        common = {"executionId": "run-1", "blockId": "block-1", "blockType": "alloy.shopify", **members}
        body = [{**common, **(error if isinstance(error, dict) else {"error": error})} for error in errors]
        answer = self.environment.engine.call("POST", f"/workflows/{workflow}/errors", {"errors": body})
        assert answer.status == HTTPStatus.ACCEPTED, answer
        return answer.body["ids"]

    def webhook(self, receiver: Receiver, **members: Any) -> str:
        """Creates a webhook, and returns its id."""
        body = {"type": "webhook", "url": receiver.url, **members}
        return self.environment.call("POST", "/destinations", body, 201)["destinationId"]

    def deliveries(self, destination: str, status: str) -> list[dict[str, Any]]:
        """Returns deliveries of a destination."""
        return self.get(f"/destinations/{destination}/deliveries?limit=100&status={status}")["data"]

    def wait_for_deliveries(self, destination: str, status: str, count: int) -> None:
        """Waits until a destination has a number of deliveries with a status."""
        wait(lambda: len(self.deliveries(destination, status)) == count, f"{count} deliveries are {status}")

    def health(self, destination: str) -> dict[str, Any]:
        """Returns the health of a destination."""
        return self.get(f"/destinations/{destination}")["health"]

    # The page.

    def load(self, fragment: str = "") -> None:
        """Loads the page at a fragment of its URL."""
        self._check_policy()
        self.browser.go("about:blank")
        self.browser.go(self.url + fragment)
        self.browser.wait("return document.querySelector('#app > *') !== null")

    def sign_in(self, fragment: str = "", key: str | None = None) -> None:
        """Signs in with a key, by default that of the back end, and opens a page."""
        self.open(fragment)
        self.fill("API key", key or self.environment.backend_key)
        self.click("Sign in")
        self.browser.wait("return document.querySelector('.console h1') !== null")

    def open(self, fragment: str) -> None:
        """Opens a page, as its link does."""
        self.browser.run("location.hash = arguments[0]", fragment)

    def fragment(self) -> str:
        """Returns the fragment of the URL."""
        return self.browser.run("return location.hash")

    def parameters(self) -> dict[str, str]:
        """Returns the parameters in the URL."""
        return self.browser.run("return Object.fromEntries(new URLSearchParams(location.hash.split('?')[1]))")

    def find(self, script: str, *arguments: Any) -> Any:
        """Runs a script with the functions that find elements."""
        return self.browser.run(FIND + script, *arguments)

    def text(self) -> str:
        """Returns the text that a user sees."""
        return self.browser.run("return document.body.innerText")

    def see(self, *texts: str) -> None:
        """Waits until the page contains texts."""
        self._expect(lambda shown: [text for text in texts if text not in shown], "does not show")

    def gone(self, *texts: str) -> None:
        """Waits until the page does not contain texts."""
        self._expect(lambda shown: [text for text in texts if text in shown], "still shows")

    def _expect(self, wrong: Any, verdict: str) -> None:
        try:
            wait(lambda: not wrong(self.text()), verdict)
        except AssertionError:
            shown = self.text()
            if wrong(shown):
                pytest.fail(f"{self.fragment()} {verdict} {wrong(shown)}:\n{shown}\n{self.browser.log()}")

    def act(self, script: str, *arguments: Any) -> None:
        """Repeats a script that acts like a user until it returns no reason for a failure."""
        act(
            lambda: self.find(script, *arguments),
            lambda: f"{arguments}\n{self.fragment()}\n{self.text()}\n{self.browser.log()}",
        )

    def click(self, name: str, *texts: str) -> None:
        """Clicks a button, link, checkbox or switch, and waits until the page contains texts."""
        self.act("return press(controlOf(arguments[0]))", name)
        self.see(*texts)

    def fill(self, label: str, value: str) -> None:
        """Types a value into a field."""
        self.act("return type(fieldOf(arguments[0]), arguments[1])", label, value)

    def choose(self, label: str, option: str) -> None:
        """Chooses an option of a field."""
        self.act("return choose(fieldOf(arguments[0]), arguments[1])", label, option)

    def value(self, label: str) -> Any:
        """Returns the value of a field, or whether a checkbox is checked."""
        script = "const input = fieldOf(arguments[0]) ?? controlOf(arguments[0]); return input.type === 'checkbox' ? input.checked : input.value"
        return self.find(script, label)

    def problem(self, label: str) -> str:
        """Waits until a field has a problem, and returns it."""
        script = """const input = fieldOf(arguments[0]);
            return input.ariaInvalid === "true" && document.getElementById(input.getAttribute("aria-describedby")).querySelector("b").textContent"""
        return wait(lambda: self.find(script, label), f"a problem of {label}")

    def focused(self) -> str:
        """Returns the name of the field that has the focus, or the text of the element."""
        return self.browser.run(
            "const { activeElement: at } = document; return at.labels?.[0]?.innerText.replace(/ \\*$/, '') ?? at.innerText"
        )

    def controls(self) -> list[str]:
        """Returns the names of all buttons and switches that can be used."""
        script = "return visible('button').filter(({ disabled }) => !disabled).map(textOf)"
        return self.find(script)

    def rows(self, count: int) -> list[str]:
        """Waits until the first table has a number of rows, and returns their texts."""
        script = "return visible('table')[0] ? [...visible('table')[0].tBodies[0].rows].map(textOf) : []"
        shown = list[str]()

        def is_complete() -> bool:
            shown[:] = self.find(script)
            return len(shown) == count

        wait(is_complete, f"{count} rows")
        return shown

    # Requests and timers.

    def requests(self, start: str = "") -> list[str]:
        """Returns the requests that begin with a text, once all have their responses."""
        script = """for (let rest = 0; rest < 5; rest += 1) {
              await new Promise((resolve) => setTimeout(resolve, 30));
              if (spy.open) rest = 0;
            }
            return spy.requests.filter((line) => line.startsWith(arguments[0]))"""
        return self.browser.run(script, start)

    def forget(self) -> None:
        """Forgets the requests so far, once all have their responses."""
        self.requests()
        self.browser.run(
            "spy.requests.length = 0; performance.clearResourceTimings(); performance.setResourceTimingBufferSize(2000)"
        )

    def skip(self, seconds: float) -> None:
        """Runs the timers of the next seconds as if they had passed."""
        self.browser.run("await spy.skip(arguments[0] * 1000)", seconds)

    def skip_until(self, *texts: str) -> None:
        """Skips the pauses between updates until the page contains texts."""

        def shown() -> bool:
            self.skip(5)
            return not [text for text in texts if text not in self.text()]

        try:
            wait(shown, f"the page shows {texts}")
        except AssertionError:
            self.see(*texts)

    def announced(self, message: str) -> None:
        """Waits until the page has shown a message, which may be gone again."""
        self.browser.wait("return spy.messages.includes(arguments[0])", message)

    def messages(self) -> list[str]:
        """Returns the messages that the page has shown."""
        return self.browser.run("return spy.messages")

    def hold(self, start: str) -> None:
        """Delays requests whose method and path begin with a text until `release`."""
        self.browser.run("spy.held = arguments[0]", start)

    def wait_held(self) -> None:
        """Waits until a request is held."""
        self.browser.wait("return spy.waiting.length > 0")

    def release(self) -> None:
        """Waits until a request is held, and continues all that are."""
        self.wait_held()
        self.browser.run("spy.held = null; for (const resolve of spy.waiting.splice(0)) resolve()")

    def set_offline(self, is_offline: bool, start: str = "") -> None:
        """Fails all requests that begin with a text, or none."""
        self.browser.run("spy.offline = arguments[0]", start if is_offline else None)

    def refuse(self, start: str | None) -> None:
        """Refuses requests that begin with a text, or none, as a proxy does."""
        self.browser.run("spy.refused = arguments[0]", start)

    def cut(self, start: str | None) -> None:
        """Cuts off the responses to requests that begin with a text, or none."""
        self.browser.run("spy.cut = arguments[0]", start)

    def check_view(self, name: str, looks: Sequence[tuple[str, int]] = LOOKS) -> None:
        """Checks accessibility and width of what is shown, in the given themes and widths."""
        problems = list[str]()
        if not self.browser.run("return typeof axe === 'object'"):
            self.browser.run(Path(os.environ["TENON_AXE"]).read_text())
        for theme, width in looks:
            self.browser.resize(width, 800)
            self.browser.prefer(theme)
            self.browser.wait("return innerWidth === arguments[0]", width)
            found = self.browser.run(AXE, TAGS, VISUAL, (theme, width) == looks[0])
            problems += [f"{name} {theme} {width}: {problem}" for problem in found]
        self.browser.resize(1280, 900)
        assert not problems, "\n".join(problems)
