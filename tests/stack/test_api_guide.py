"""Runs the examples of the guides against the deployed stack."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from customer import Endpoint
from deployed import Environment
from emulator import Emulator, free_port
from guides import blocks, post, program, serving
from paths import ROOT
from serving import Request
from stack import Stack

# Variables that the shell examples set, for the examples in other languages.
CAPTURED = ["TENON_ISSUER", "USER_TOKEN", "WEBHOOK_SECRET"]
TIMEOUT_SECONDS = 300


def created(value: Any) -> Iterator[tuple[str, str]]:
    """Yields the id and the time of each object of an example that begins with its id."""
    for member in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from created(member)
    if isinstance(value, dict) and "createdAt" in value:
        yield next(iter(value.values())), value["createdAt"]


def can_run(block: str) -> bool:
    """Returns whether the programs of an example are installed."""
    return " aws " not in block or shutil.which("aws") is not None


class GuideRun:
    """Result of the shell examples: their variables, and a request that the webhook received."""

    def __init__(self, variables: dict[str, str], output: str, received: Request) -> None:
        self.variables, self.output, self.received = variables, output, received

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the environment variables for an example in another language."""
        return {**os.environ, **self.variables, **more}


@pytest.fixture(scope="module")
def guide(emulator: Emulator, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> GuideRun:
    """Runs the shell examples in one shell, with the variables of .local/env."""
    environment, other = Environment(emulator, stack), Environment(emulator, stack)
    user = environment.call("POST", "/users", {"username": "guide"}, 201)
    workflow = environment.call("POST", "/workflows", {"userId": user["userId"], "name": "guide"}, 201)
    captured = tmp_path_factory.mktemp("guide") / "variables"
    trap = "trap '[ $? = 0 ] || echo \"sh block $BLOCK of docs/{api,integrations,install-links,engine}.md failed\" >&2' EXIT\n"
    examples = "\n".join(f"BLOCK={number}\n{block}" for number, block in enumerate(blocks("sh"), 1) if can_run(block))
    dump = "".join(f"printf '%s\\n' \"{name}=${name}\" >> '{captured}'\n" for name in CAPTURED)
    with Endpoint(answers=[204]) as endpoint:
        settings = {
            "TENON_URL": stack.url,
            "TENON_BACKEND_KEY": environment.backend_key,
            "TENON_ENGINE_KEY": environment.engine_key,
            "TENON_OTHER_BACKEND_KEY": other.backend_key,
            "TENON_ENVIRONMENT": environment.id,
            "TENON_WORKFLOW": workflow["workflowId"],
            **emulator.environment(),
            "WEBHOOK_URL": endpoint.url,
        }
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", trap + examples + dump],
            env={**os.environ, **settings},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        received = endpoint.receive(60)
    assert received is not None, "the webhook received no request"
    variables = dict(line.split("=", 1) for line in captured.read_text().splitlines())
    return GuideRun({**settings, **variables}, result.stdout, received)


def test_ids_in_the_examples_begin_with_the_second_of_their_time() -> None:
    found = [one for block in blocks("json") for one in created(json.loads(block))]
    assert len(found) > 5
    for id_, at in found:
        assert int(id_[:8], 16) == int(datetime.fromisoformat(at).timestamp()), (id_, at)


def test_shell_examples_run_from_top_to_bottom(guide: GuideRun) -> None:
    assert "urn:tenon:problem:validation" in guide.output
    assert '"delivered":true' in guide.output
    assert guide.received.headers["x-tenon-test"] == "true"
    # The secret was rotated before.
    assert len(guide.received.headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize(("language", "name"), [("python", "verify_user_token.py"), ("js", "verify-user-token.mjs")])
def test_examples_verify_user_tokens(guide: GuideRun, tmp_path: Path, language: str, name: str) -> None:
    def run(token: str) -> subprocess.CompletedProcess[str]:
        command, environment = program(tmp_path, language, name), guide.environment(USER_TOKEN=token)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    token = guide.variables["USER_TOKEN"]
    accepted = run(token)
    assert accepted.returncode == 0, accepted.stderr
    assert re.fullmatch(r"user [0-9a-f]{24}\n", accepted.stdout)
    header, payload, signature = token.split(".")
    forged = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    assert run(f"{header}.{payload}.{forged}").returncode != 0


@pytest.mark.parametrize(("language", "name"), [("python", "webhook_receiver.py"), ("js", "webhook-receiver.mjs")])
def test_examples_verify_webhooks(guide: GuideRun, tmp_path: Path, language: str, name: str) -> None:
    port, output = free_port(), tmp_path / "output"
    headers, body = guide.received.headers, guide.received.body
    with serving(program(tmp_path, language, name), guide.environment(PORT=str(port)), port, output):
        assert post(port, headers, body) == 204
        assert post(port, headers, body + b" ") == 401
        assert post(port, {**headers, "webhook-timestamp": str(int(time.time()) - 600)}, body) == 401
        for malformed in ("", "v1", "v1,A", "a,b,c"):
            assert post(port, {**headers, "webhook-signature": malformed}, body) == 401
    assert output.read_text().count("rejected: ") == 6


def test_every_example_in_python_and_javascript_is_tested() -> None:
    # Those of engine.md are tested by test_engine.py.
    assert len(blocks("python")) == len(blocks("js")) == 3
