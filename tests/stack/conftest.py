"""Fixtures of the tests of the template and of the deployed stack.

Tests of the template require only the pinned SAM. Tests of the stack run in the environment of
local/test.py, with a stack of their own, because some of them change its settings temporarily.
"""

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "local"))

import clients
from browser import Browser
from deployed import Environment, NewEnvironment
from emulator import Emulator
from modal import CATALOGUE, Site, User
from sdk_package import pack
from stack import Stack
from template import Template

# Reasons for skips that no missing program causes.
PERMITTED_SKIPS = {"React 18 sets attributes only", "the git history has no template with other resources"}


def pytest_configure(config: pytest.Config) -> None:
    """Declares the markers."""
    config.addinivalue_line("markers", "alone: changes settings or data of the stack that others use")
    config.addinivalue_line("markers", "clients: sends many requests to the API, in environments of its own")
    config.addinivalue_line("markers", "console: uses the console, in environments of its own")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TENON_REQUIRE_ALL, fails tests that would be skipped because a program is missing."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("TENON_REQUIRE_ALL"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in PERMITTED_SKIPS:
            report.outcome, report.longrepr = "failed", f"{item.name} {reason}, and TENON_REQUIRE_ALL is set"
    return report


@pytest.fixture(scope="session")
def template() -> Template:
    """The template as CloudFormation gets it, after the SAM transform."""
    return Template.transformed()


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    """The local AWS into which the stack is deployed."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        pytest.skip("needs the deployment that `make test` starts")
    return Emulator.of_environment()


@pytest.fixture(scope="session")
def stack(emulator: Emulator) -> Stack:
    """The deployed stack."""
    prefix = "TENON_STACK_"
    outputs = {name.removeprefix(prefix): value for name, value in os.environ.items() if name.startswith(prefix)}
    return Stack(os.environ["TENON_URL"], outputs)


@pytest.fixture(scope="session")
def started_browser() -> Iterator[Browser]:
    """A browser."""
    driver = os.environ.get("TENON_CHROMEDRIVER")
    if not driver:
        pytest.skip("needs chromium and chromedriver")
    with Browser(driver) as session:
        yield session


@pytest.fixture(scope="module")
def browser(started_browser: Browser) -> Browser:
    """The browser with a new tab and without stored data, for all tests of a file."""
    started_browser.start_over()
    return started_browser


@pytest.fixture
def new_environment(emulator: Emulator, stack: Stack) -> NewEnvironment:
    """Creates environments."""
    return lambda: Environment(emulator, stack)


@pytest.fixture(scope="session")
def modal_site(started_browser: Browser, emulator: Emulator, stack: Stack) -> Site:
    """Host pages of the modal, and an environment with a catalogue."""
    environment = Environment(emulator, stack)
    for integration, content in CATALOGUE.items():
        environment.call("PUT", f"/integrations/{integration}", content, 201)
    return Site(started_browser, environment, stack.url)


@pytest.fixture
def site(browser: Browser, modal_site: Site) -> Iterator[Site]:
    """The host page of the modal, newly loaded. Scripts of all pages must not have failed."""
    browser.resize(1000, 800)
    modal_site.front.requests.clear()
    modal_site.load()
    modal_site.host.token, modal_site.host.token_requests = lambda: None, 0
    browser.log()
    yield modal_site
    modal_site.front.repair()
    modal_site.host.next_tokens.clear()
    problems = ("Uncaught", "TypeError", "ReferenceError", "Content Security Policy")
    lines = [line for line in browser.log() if "frame-ancestors" not in line]
    assert [line for line in lines if any(problem in line for problem in problems)] == []


@pytest.fixture
def user(site: Site) -> User:
    """User of the host page of the modal."""
    return site.sign_in(site.new_user())


@pytest.fixture(scope="module")
def other_environment(emulator: Emulator, stack: Stack) -> Environment:
    """An environment whose settings the tests of a file change."""
    return Environment(emulator, stack)


@pytest.fixture(scope="session")
def sdk_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the files of the package in sdk/, as npm packs it."""
    return pack(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def node_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of sdk/node, compiled with its tests."""
    if not clients.node():
        pytest.skip("needs Node.js")
    folder = tmp_path_factory.mktemp("node") / "sdk"
    clients.node_sdk(folder)
    return folder
