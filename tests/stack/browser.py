"""Client of a browser, through the WebDriver protocol."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from waiting import wait

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ESCAPE, TAB, ENTER, SHIFT = "\ue00c", "\ue004", "\ue007", "\ue008"
OPTIONS = {
    "args": [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--lang=en",
    ]
}

# Functions with which scripts find elements as users do, in the uppermost dialog, and use them.
# `reach`, `press` and `choose` return the reason if that is not possible.
USE = """const scope = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
const visible = (selector) => [...scope.querySelectorAll(selector)].filter((element) => element.checkVisibility());
const reach = (element) => {
  if (!element) return "not found";
  element.scrollIntoView({ block: "center" });
  const { x, y, width, height } = element.getClientRects()[0];
  const hit = document.elementFromPoint(x + width / 2, y + height / 2);
  if (!element.contains(hit)) return `covered by ${hit?.outerHTML.slice(0, 100)}`;
  if (element.disabled || element.ariaDisabled) return "disabled";
  element.focus();
  return null;
};
const press = (element) => reach(element) ?? (element.click(), null);
const choose = (select, name) => {
  const reason = reach(select);
  const option = [...select?.options ?? []].find(({ text }) => text === name);
  if (reason || !option) return reason ?? `no option: ${[...select?.options ?? []].map(({ text }) => text)}`;
  select.value = option.value;
  for (const event of ["input", "change"]) select.dispatchEvent(new Event(event, { bubbles: true }));
  return null;
};
"""


class WebDriverError(Exception):
    """Error response of the driver."""


class Browser:
    """Session of a browser."""

    def __init__(self, driver: str, width: int = 1000, height: int = 800) -> None:
        self.driver = driver
        options = {"goog:chromeOptions": OPTIONS, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = ""
        created = self.call("POST", "/session", {"capabilities": {"alwaysMatch": options}})
        self.session = f"/session/{created['sessionId']}"
        self.width, self.height = width, height
        self.resize(width, height)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Sends a command. Returns the value of the response."""
        data = json.dumps(body or {}).encode() if method == "POST" else None
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.driver + self.session + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise WebDriverError(f"{value['error']}: {value['message']}") from None

    def __enter__(self) -> Self:
        """Returns the session, which ends with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the session."""
        self.call("DELETE", "")

    def start_over(self) -> None:
        """Replaces all tabs by a new one without their settings, and deletes their data."""
        former = self.call("GET", "/window/handles")
        opened = self.call("POST", "/window/new", {"type": "tab"})["handle"]
        for handle in former:
            self.call("POST", "/window", {"handle": handle})
            self.call("DELETE", "/window")
        self.call("POST", "/window", {"handle": opened})
        self.cdp("Page.bringToFront")
        self.cdp("Network.clearBrowserCache")
        self.cdp("Storage.clearDataForOrigin", origin="*", storageTypes="all")
        self.resize(self.width, self.height)

    def cdp(self, command: str, **parameters: Any) -> Any:
        """Sends a command of the Chrome DevTools Protocol. Returns its result."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    @contextmanager
    def preloaded(self, script: str) -> Iterator[None]:
        """Runs a script before those of each new document while the block is executed."""
        added = self.cdp("Page.addScriptToEvaluateOnNewDocument", source=script)
        try:
            yield
        finally:
            self.cdp("Page.removeScriptToEvaluateOnNewDocument", **added)

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the viewport."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, theme: str) -> None:
        """Sets the color scheme that the user prefers."""
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def go(self, url: str) -> None:
        """Loads a page."""
        self.call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the current frame, and returns its value or that of its promise."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector: str) -> dict[str, str]:
        """Returns the element of a CSS selector."""
        return self.call("POST", "/element", {"using": "css selector", "value": selector})

    def enter_frame(self, frame: str | dict[str, str]) -> None:
        """Makes a frame of the page the current one."""
        self.leave_frames()
        frame = self.find(frame) if isinstance(frame, str) else frame
        self.call("POST", "/frame", {"id": frame})

    def leave_frames(self) -> None:
        """Makes the page the current frame."""
        self.call("POST", "/frame", {"id": None})

    def press(self, key: str) -> None:
        """Presses and releases a key, which the focused element receives."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def drag(self, *points: tuple[int, int]) -> None:
        """Presses the mouse at the first point of the page, and releases it at the last one."""
        self.leave_frames()
        moves = [{"type": "pointerMove", "x": x, "y": y, "duration": 0} for x, y in points]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def click(self, selector: str) -> None:
        """Clicks an element."""
        self.call("POST", f"/element/{self.find(selector)[ELEMENT]}/click")

    def label(self, selector: str) -> str:
        """Returns the name of an element for assistive technology."""
        return self.call("GET", f"/element/{self.find(selector)[ELEMENT]}/computedlabel")

    def log(self) -> list[str]:
        """Returns the messages of the console since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]

    def wait(self, script: str, *arguments: Any) -> Any:
        """Waits until a script returns a true value, and returns it."""
        return wait(lambda: self.run(script, *arguments), script)


def act(action: Callable[[], str | None], describe: Callable[[], str]) -> None:
    """Repeats an action until it returns no reason for a failure, or fails with the last reason."""
    reason: str | None = None

    def done() -> bool:
        nonlocal reason
        try:
            reason = action()
        except WebDriverError as error:
            reason = str(error)
        return reason is None

    try:
        wait(done, "action")
    except AssertionError as error:
        raise AssertionError(f"{reason}\n{describe()}") from error
