"""Examples of the guides in docs/, and the servers among them."""

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import clients
import pytest
from paths import ROOT
from waiting import wait

# Pages whose examples run in one shell, in this order.
PAGES = ["api.md", "integrations.md", "install-links.md", "engine.md"]

GUIDE = "\n".join((ROOT / "docs" / page).read_text() for page in PAGES)


def blocks(language: str, first_line: str = "") -> list[str]:
    """Returns the code blocks of the guides in a language that start with a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [block for block in found if block.startswith(first_line)]


def node() -> str:
    """Returns the path of Node.js, or skips the test."""
    return clients.node() or pytest.skip("needs Node.js")


def program(folder: Path, language: str, name: str) -> list[str]:
    """Returns the command for the example that starts with a comment with this file name."""
    comment, interpreter = ("#", sys.executable) if language == "python" else ("//", node())
    [source] = blocks(language, f"{comment} {name}\n")
    path = folder / name
    path.write_text(source)
    return [interpreter, str(path)]


def is_served(port: int) -> bool:
    """Returns whether a program listens on a port of loopback."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(
    command: list[str], environment: dict[str, str], port: int, output: Path = Path(os.devnull)
) -> Iterator[None]:
    """Runs a server while the block is executed, and appends its output to a file."""
    with output.open("a") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait(lambda: process.poll() is not None or is_served(port), "the server listens")
        assert process.poll() is None, "the server has ended"
        yield
    finally:
        process.kill()
        process.wait()


def post(port: int, headers: dict[str, str], body: bytes) -> int:
    """Posts to a server on loopback and returns the status."""
    headers = {name: value for name, value in headers.items() if name.startswith(("webhook-", "content-type"))}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/errors", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
