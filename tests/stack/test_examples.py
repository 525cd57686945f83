"""The apps in examples/, started as their README says, with the deployed stack in a browser."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import Browser
from deployed import NewEnvironment
from sdk_package import ROOT, make_project, needs_node
from stack import Stack
from waiting import wait

EXAMPLES = ROOT / "examples"

INTEGRATION = {"name": "Shopify", "workflows": [{"key": "orders", "name": "Sync orders"}]}


@pytest.fixture
def settings(new_environment: NewEnvironment, stack: Stack) -> dict[str, str]:
    """Settings of a stack with an integration, and with a workflow of the examples' user."""
    environment = new_environment()
    environment.call("PUT", "/integrations/shopify", INTEGRATION, status=201)
    environment.call("POST", "/users", {"username": "example"}, status=201)
    environment.call("POST", "/workflows", {"userId": "example", "name": "Sync customers"}, status=201)
    return {"TENON_URL": stack.url, "TENON_BACKEND_KEY": environment.backend_key}


@contextmanager
def running(name: str, folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """Runs the last command of an app's README while the block is executed. Yields the URL."""
    [command] = re.findall(r"^ +(.*)\n +```$", (EXAMPLES / name / "README.md").read_text(), re.MULTILINE)
    environment = {**os.environ, **settings, "PORT": "0", "NO_COLOR": "1"}
    output = subprocess.PIPE
    # npm does not stop the programs that it starts.
    with subprocess.Popen(
        command.split(),
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    break
            else:
                pytest.fail("".join(lines))
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def open_modal(browser: Browser, button: str) -> None:
    """Opens the modal of an app, and waits until it shows the integration."""
    browser.wait("return document.querySelector(arguments[0])", button)
    browser.click(button)
    browser.wait("return document.querySelector('dialog iframe')")

    def is_shown() -> bool:
        # The frame first has an empty page.
        browser.enter_frame("dialog iframe")
        return "Shopify" in browser.run("return document.body.innerText")

    try:
        wait(is_shown, "Shopify in the modal")
    finally:
        browser.leave_frames()


@needs_node
def test_plain_page_opens_the_modal(browser: Browser, settings: dict[str, str]) -> None:
    with running("plain", ROOT, settings) as url:
        browser.go(url)
        open_modal(browser, "#integrations")


@needs_node
def test_page_of_alloy_frontend_lists_and_installs(browser: Browser, settings: dict[str, str]) -> None:
    with running("alloy", ROOT, settings) as url:
        browser.go(url)
        listed = "return document.querySelector('#workflows').innerText"
        assert browser.wait(listed) == "Sync customers"
        open_modal(browser, "#install")


@needs_node
def test_react_page_opens_the_modal(
    browser: Browser, settings: dict[str, str], sdk_package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "examples"
    make_project(folder / "react", EXAMPLES / "react", sdk_package)
    shutil.copy(EXAMPLES / "backend.js", folder)
    with running("react", folder / "react", settings) as url:
        browser.go(url)
        open_modal(browser, "#integrations")


def test_react_page_has_the_packages_of_the_tests() -> None:
    manifest = json.loads((EXAMPLES / "react" / "package.json").read_text())
    lock = json.loads((EXAMPLES / "react" / "package-lock.json").read_text())["packages"]
    tested = json.loads((ROOT / "tests" / "sdk" / "package.json").read_text())["devDependencies"]
    package = json.loads((ROOT / "sdk" / "package.json").read_text())
    versions = manifest["dependencies"] | manifest["devDependencies"]
    assert versions.pop("@tenon/modal") == "file:../../sdk"
    assert versions.items() <= tested.items()
    locked = lock["node_modules/@tenon/modal"]
    assert {name: locked[name] for name in ("version", "peerDependencies")} == {
        name: package[name] for name in ("version", "peerDependencies")
    }
