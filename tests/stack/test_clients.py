"""Clients that are generated from docs/openapi.json, and the API against its document."""

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
    "backend": lambda environment: environment.backend.key,
    "engine": lambda environment: environment.engine.key,
    "user": user_token,
    "nobody": lambda _: "invalid",
}


# Most requests of the others are refused.
EXAMPLES = {"backend": "5", "engine": "2", "user": "2", "nobody": "1"}


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
    command += ["run", str(clients.DOCUMENT), "--url", stack.url, "--max-examples", EXAMPLES[caller]]
    command += ["--no-color", "--warnings", "off"]
    command += ["--header", f"Authorization: Bearer {CALLERS[caller](new_environment())}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400)
    assert result.returncode == 0, result.stdout[-20000:]
    assert " generated" in result.stdout
