"""Generated clients, sdk/node and sdk/python, and the API against its document."""

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import clients
import pytest
from deployed import Environment, NewEnvironment
from paths import ROOT
from sdk_package import needs_node
from stack import Stack

pytestmark = pytest.mark.clients

RoundTrip = Callable[[list[str], Path], None]


@pytest.fixture
def round_trip(new_environment: NewEnvironment, stack: Stack) -> RoundTrip:
    """Runs a program that uses a generated client with the keys of a new environment."""

    def run(command: list[str], folder: Path) -> None:
        environment = new_environment()
        keys = {"TENON_BACKEND_KEY": environment.backend_key, "TENON_ENGINE_KEY": environment.engine_key}
        settings = {**os.environ, **keys, "TENON_URL": stack.url}
        result = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    return run


def test_generated_python_client_makes_a_round_trip(round_trip: RoundTrip, tmp_path: Path) -> None:
    round_trip([str(clients.PYTHON), str(clients.python_client(tmp_path))], tmp_path)


@needs_node
def test_generated_typescript_client_makes_a_round_trip(round_trip: RoundTrip, tmp_path: Path) -> None:
    round_trip(["node", str(clients.typescript_client(tmp_path / "client"))], tmp_path)


def test_node_sdk_passes_its_tests(node_sdk: Path) -> None:
    command = ["node", "--test", *map(str, node_sdk.glob("build/*.test.js"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_node_sdk_makes_a_round_trip(round_trip: RoundTrip, node_sdk: Path) -> None:
    round_trip(["node", str(node_sdk / "build" / "round-trip.js")], node_sdk)


def test_python_sdk_passes_its_tests() -> None:
    command = [str(clients.PYTHON), "-m", "pytest", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=clients.PYTHON_SDK, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_python_sdk_makes_a_round_trip(round_trip: RoundTrip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "src")
    round_trip([str(clients.PYTHON), "tests/round_trip.py"], clients.PYTHON_SDK)


def test_packages_have_the_version_and_licence_of_tenon() -> None:
    packages = [
        json.loads((clients.NODE_SDK / "package.json").read_text()),
        tomllib.loads((clients.PYTHON_SDK / "pyproject.toml").read_text())["project"],
        tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"],
    ]
    assert len({(package["version"], package["license"]) for package in packages}) == 1
    licence = (ROOT / "LICENSE").read_bytes()
    for folder in (clients.NODE_SDK, clients.PYTHON_SDK, clients.NODE_SDK.parent):
        assert (folder / "LICENSE").read_bytes() == licence, folder


def test_packages_are_tested_with_the_versions_of_their_lock_files() -> None:
    tested = json.loads((clients.SOURCES / "package-lock.json").read_text())["packages"]
    for folder in (clients.NODE_SDK, ROOT / "examples" / "express"):
        locked = json.loads((folder / "package-lock.json").read_text())["packages"]
        for name, package in locked.items():
            if name in tested and name and not package.get("link"):
                assert package["version"] == tested[name]["version"], f"{folder}: {name}"


def user_token(environment: Environment) -> str:
    """Returns a token of a new user."""
    environment.call("POST", "/users", {"username": "joe"}, status=201)
    return environment.call("POST", "/users/joe/token", {})["token"]


# Security of the operations that a caller may use, and its credential.
CALLERS: dict[str, tuple[dict[str, list[str]], Callable[[Environment], str]]] = {
    "backend": ({"apiKey": ["manage"]}, lambda environment: environment.backend_key),
    "engine": ({"apiKey": ["engine"]}, lambda environment: environment.engine_key),
    "user": ({"userToken": []}, user_token),
    "nobody": ({}, lambda _: "invalid"),
}


def operations(security: dict[str, list[str]]) -> list[str]:
    """Returns the ids of the operations that a caller may use. The others are tested elsewhere."""
    paths = json.loads(clients.DOCUMENT.read_text())["paths"].values()
    found = [operation for path in paths for operation in path.values() if security in operation["security"]]
    return [operation["operationId"] for operation in found]


@pytest.mark.parametrize("caller", CALLERS)
def test_api_behaves_as_its_document_says(
    caller: str, new_environment: NewEnvironment, stack: Stack, tmp_path: Path
) -> None:
    command = [
        str(clients.PYTHON),
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(clients.SOURCES / "schemathesis.toml"),
    ]
    security, key = CALLERS[caller]
    command += ["run", str(clients.DOCUMENT), "--url", stack.url, "--max-examples", "3"]
    command += ["--no-color", "--warnings", "off"]
    command += ["--header", f"Authorization: Bearer {key(new_environment())}"]
    command += [f"--include-operation-id={operation}" for operation in operations(security)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1500)
    assert result.returncode == 0, result.stdout[-20000:]
    assert " generated" in result.stdout
