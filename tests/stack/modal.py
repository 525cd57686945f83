"""The page of the embedded modal in a browser, as its users see it.

The host page, another host page and the API have different origins.
"""

import base64
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from browser import USE, Browser, WebDriverError, act
from deployed import Environment, NewEnvironment
from modal_servers import HOST_SCRIPT, RAW_SCRIPT, Front, Host
from waiting import wait

# Functions with which scripts of tests find elements as users do: by their text.
FIND = (
    USE
    + """const nameOf = (element) => (element.getAttribute("aria-label") ?? (element.querySelector("strong") ?? element).innerText).trim();
const labelOf = (label) => [...label.childNodes].filter(({ nodeName }) => ["#text", "STRONG"].includes(nodeName))
  .map(({ textContent }) => textContent).join("").trim();
const buttonOf = (name) => visible("button, summary").find((element) => nameOf(element) === name);
const inputOf = (name) => visible("label").find((label) => labelOf(label) === name)?.control;
"""
)

# Function that fills a field like a user. It returns the reason if that is not possible.
ACT = """const type = (input, value) => {
  const reason = reach(input);
  if (reason) return reason;
  input.select();
  document.execCommand(value ? "insertText" : "delete", false, value);
  return input.value === value ? null : `has the value ${input.value}`;
};
"""

ICON = "data:image/svg+xml;base64," + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"/>').decode()


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
        self.front = Front(api).start()
        scripts = {"/host.js": HOST_SCRIPT.replace("{front}", self.front.origin), "/raw.js": RAW_SCRIPT}
        # The other host is of another site than the API, so that its frames have a process of their
        # own. The log of the driver does not contain their console.
        self.host, self.other = Host("127.0.0.1", scripts).start(), Host("localhost", scripts).start()
        self.users = 0

    def new_user(self, environment: Environment | None = None) -> User:
        """Creates a user."""
        self.users += 1
        return User.create(environment or self.environment, f"user-{self.users}")

    def sign_in(self, user: User, **options: Any) -> User:
        """Lets the hosts return tokens of a user."""
        for host in (self.host, self.other):
            host.token = functools.partial(user.token, **{"origins": [host.origin], **options})
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

    def frame_url(self, *origins: str) -> str:
        """Returns the URL of the page for pages with these origins."""
        return f"{self.front.origin}/modal?{urlencode([('v', 1), *(('origin', origin) for origin in origins)])}"

    def start_raw(self) -> None:
        """Waits until the page is ready in a host that speaks the protocol by itself."""
        self.load("/raw")
        self.browser.run("embed(arguments[0])", self.frame_url(self.host.origin))
        self.browser.wait("return heard.length === 1")
        assert self.browser.run("return heard") == [
            {"data": {"tenon": "ready", "v": 1}, "origin": self.front.origin, "isFrame": True}
        ]

    def install_link(self, user: User, integration: str = "chat") -> str:
        """Returns an install link to the page behind the proxy."""
        url = user.call("GET", f"/integrations/{integration}/install-url")["url"]
        assert url.startswith(f"{self.environment.backend.url}/modal#ticket=")
        return f"{self.front.origin}/modal{url[url.index('#') :]}"

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
            return wait(received, f"events {names}") if names else self.run("return events")
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
            wait(lambda: not missing(), f"the page shows {texts}")
        except AssertionError:
            pytest.fail(f"the page does not show {missing()}:\n{self.text()}\n{self.browser.log()}")

    def act(self, script: str, *arguments: Any) -> None:
        """Repeats a script that acts like a user until it returns no reason for a failure."""
        act(
            lambda: self.find(ACT + script, *arguments),
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

    def search(self, text: str) -> None:
        """Types a text into the search of the catalogue."""
        self.act("return type(visible('[type=search]')[0], arguments[0])", text)

    def fill_shop(self, token: str = SHOP_ACCOUNT["token"]) -> None:
        """Fills the form of the shop."""
        self.fill({"Address": SHOP_ACCOUNT["address"], "Access token": token})
        self.choose("Region", "Europe")


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
