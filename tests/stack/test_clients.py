"""Clients that are generated from docs/openapi.json, and the API against its document."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import clients
import pytest
from conftest import Environment, NewEnvironment
from stack import Stack

RoundTrip = Callable[[list[str], Path], None]


@pytest.fixture
def round_trip(new_environment: NewEnvironment, stack: Stack) -> RoundTrip:
    """Runs a program that uses a generated client with the keys of a new environment."""

    def run(command: list[str], folder: Path) -> None:
        environment = new_environment()
        keys = {"TENON_BACKEND_KEY": environment.backend.key, "TENON_ENGINE_KEY": environment.engine.key}
        settings = {**os.environ, **keys, "TENON_URL": stack.url}
        result = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    return run


def test_generated_python_client_makes_a_round_trip(round_trip: RoundTrip, tmp_path: Path) -> None:
    round_trip([str(clients.PYTHON), str(clients.python_client(tmp_path))], tmp_path)


@pytest.mark.skipif(not clients.NODE_MODULES.is_dir(), reason="needs Node.js")
def test_generated_typescript_client_makes_a_round_trip(round_trip: RoundTrip, tmp_path: Path) -> None:
    round_trip(["node", str(clients.typescript_client(tmp_path / "client"))], tmp_path)


def user_token(environment: Environment) -> str:
    """Returns a token of a new user."""
    environment.call("POST", "/users", {"username": "joe"}, status=201)
    return environment.call("POST", "/users/joe/token", {})["token"]


CALLERS = {
    "backend": ({"apiKey": ["manage"]}, lambda environment: environment.backend.key),
    "engine": ({"apiKey": ["engine"]}, lambda environment: environment.engine.key),
    "user": ({"userToken": []}, user_token),
    "nobody": ({}, lambda _: "invalid"),
}


def operations(security: dict) -> list[str]:
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
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400)
    assert result.returncode == 0, result.stdout[-20000:]
    assert " generated" in result.stdout
