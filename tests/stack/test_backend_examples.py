"""Runs the back ends of examples/ against the deployed stack."""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import clients
import pytest
import tenon
from browser import Browser, WebDriverError
from deployed import Environment, NewEnvironment
from emulator import free_port
from guides import serving
from paths import ROOT
from stack import Stack
from waiting import wait

EXAMPLES = ROOT / "examples"
INTEGRATION = {
    "name": "Acme Orders",
    "credentialTypes": [
        {"type": "acme", "name": "Acme", "fields": [{"name": "token", "label": "Token", "type": "secret"}]}
    ],
    "workflows": [{"key": "orders", "name": "Orders"}],
}


@dataclass
class App:
    """A running example, with the API of its environment."""

    url: str
    environment: Environment
    output: Path

    def get(self, path: str) -> str:
        """Returns the body of a response."""
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return response.read().decode()

    def wait_for(self, text: str) -> None:
        """Waits until the app has printed a text."""
        wait(lambda: text in self.output.read_text(), text)


@pytest.fixture(scope="module")
def express(node_sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Command of examples/express, with the tested packages."""
    folder = tmp_path_factory.mktemp("express")
    # An app finds @tenon/node in its own folder, and the other packages above.
    (folder / "node_modules").symlink_to(clients.NODE_MODULES)
    packages = folder / "app" / "node_modules" / "@tenon"
    packages.mkdir(parents=True)
    (packages / "node").symlink_to(node_sdk)
    for name in ("package.json", "server.js"):
        shutil.copy(EXAMPLES / "express" / name, folder / "app")
    return ["node", str(folder / "app" / "server.js")]


@pytest.fixture(scope="module")
def fastapi() -> list[str]:
    """Command of examples/fastapi, with the tested packages."""
    return [str(clients.PYTHON), str(EXAMPLES / "fastapi" / "server.py")]


@pytest.fixture(params=["express", "fastapi"])
def app(request: pytest.FixtureRequest, new_environment: NewEnvironment, stack: Stack, tmp_path: Path) -> Iterator[App]:
    """An example, which receives the errors and installations of an environment."""
    command = request.getfixturevalue(request.param)
    environment, port = new_environment(), free_port()
    app = App(f"http://127.0.0.1:{port}", environment, tmp_path / "output")
    environment.call("PUT", "/integrations/acme-orders", INTEGRATION, 201)
    webhook = {"type": "webhook", "url": f"{app.url}/webhooks", "events": ["error", "installation.*"]}
    settings = {
        "TENON_URL": stack.url,
        "TENON_BACKEND_KEY": environment.backend_key,
        "WEBHOOK_SECRET": environment.call("POST", "/destinations", webhook, 201)["secret"],
        "PORT": str(port),
        "PYTHONPATH": str(clients.PYTHON_SDK / "src"),
    }
    with serving(command, {**os.environ, **settings}, port, app.output):
        yield app


def test_app_gives_tokens_and_receives_signed_webhooks(app: App, stack: Stack) -> None:
    app.get("/my/tenon-token")
    user = tenon.Api(stack.url, app.get("/my/tenon-token"))
    body = {"credentials": {"acme": {"data": {"token": "secret"}}}}
    installed = user.call("PUT", "/users/u-42/installations/acme-orders", body)
    assert installed.status == 201, installed
    app.wait_for("event installation.created")

    error = {"executionId": "run-1", "blockId": "block-1", "blockType": "acme", "error": "403 Forbidden"}
    workflow = installed.body["workflows"][0]["workflowId"]
    recorded = app.environment.engine.call("POST", f"/workflows/{workflow}/errors", error)
    assert recorded.status == 202, recorded
    app.wait_for("error 403 Forbidden")


def test_app_refuses_unsigned_webhooks(app: App) -> None:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{app.url}/webhooks", b'{"_id": "1", "error": "forged"}', headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 401
    assert "forged" not in app.output.read_text()


def test_app_opens_the_modal(app: App, browser: Browser) -> None:
    browser.go(app.url)
    browser.click("#connect")

    def shown() -> str:
        # A frame that has just been opened has no page yet.
        try:
            browser.enter_frame("iframe")
            return browser.run("return document.body.innerText")
        except WebDriverError:
            return ""

    wait(lambda: "Acme Orders" in shown(), "the modal shows the catalogue")
    browser.leave_frames()
