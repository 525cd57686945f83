"""Lints docs/openapi.json, and generates clients from it with the generators that users would use.

`make check` runs this as a program; tests/stack/test_clients.py uses the generated clients.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from emulator import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
# Programs that use the generated clients, and the packages of the TypeScript client.
SOURCES = ROOT / "tests" / "clients"
NODE_MODULES = ROOT / ".local" / "node" / "node_modules"
# Interpreter with openapi-python-client and schemathesis.
PYTHON = ROOT / ".local" / "clients-venv" / "bin" / "python"


def main() -> None:
    """Lints the document and generates both clients. Fails on warnings."""
    with tempfile.TemporaryDirectory() as folder:
        python_client(Path(folder))
        if NODE_MODULES.is_dir():
            lint()
            typescript_client(Path(folder) / "typescript")
        else:
            print("skipping the OpenAPI linter and the TypeScript client: Node.js is not installed")


def lint() -> None:
    """Lints the document with Redocly's recommended rules, all of which are errors."""
    program = NODE_MODULES / "@redocly" / "cli" / "bin" / "cli.js"
    _run(["node", str(program), "lint", "--extends", "recommended-strict", str(DOCUMENT)], ROOT)


def python_client(folder: Path) -> Path:
    """Generates the Python package `tenon_client` in a folder. Returns the program that uses it."""
    target = str(folder / "tenon_client")
    command = ["-m", "openapi_python_client", "generate", "--path", str(DOCUMENT), "--output-path", target]
    # The generator formats its result with the ruff beside it.
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    options = ["--meta", "none", "--fail-on-warning"]
    _run([str(PYTHON), *command, *options], folder, {**os.environ, "PATH": path})
    return Path(shutil.copy(SOURCES / "round_trip.py", folder))


def typescript_client(folder: Path) -> Path:
    """Generates the types `api.ts` in a new folder, and compiles the program that uses them.

    Returns that program.
    """
    folder.mkdir()
    for name in ("package.json", "tsconfig.json", "round_trip.ts"):
        shutil.copy(SOURCES / name, folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)
    generator = NODE_MODULES / "openapi-typescript" / "bin" / "cli.js"
    _run(["node", str(generator), str(DOCUMENT), "--output", "api.ts"], folder)
    _run(["node", str(NODE_MODULES / "typescript" / "bin" / "tsc"), "--project", str(folder)], folder)
    return folder / "round_trip.js"


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    """Runs a tool. Prints its output and exits if it fails or warns."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NODE_NO_WARNINGS": "1"}
    environment = {**(environment or os.environ), **quiet}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    if result.returncode or "⚠" in output:
        sys.exit(f"{' '.join(command)}:\n{output}")


if __name__ == "__main__":
    main()
