"""Lints docs/openapi.json, and generates the reference, clients and the types of sdk/ from it.

`make check` and `make generate` run it as a program; tests/stack/test_clients.py uses the clients.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import python_sdk
import reference
from paths import ROOT

DOCUMENT = ROOT / "docs" / "openapi.json"
# Programs that use the generated clients, and the packages of the TypeScript client.
SOURCES = ROOT / "tests" / "clients"
NODE_MODULES = ROOT / ".local" / "node" / "node_modules"
# Interpreter with openapi-python-client and schemathesis.
PYTHON = ROOT / ".local" / "clients-venv" / "bin" / "python"
NODE_SDK = ROOT / "sdk" / "node"
PYTHON_SDK = ROOT / "sdk" / "python"


def main() -> None:
    """Runs `generate`, which writes the generated files, or `check`."""
    match sys.argv[1:]:
        case ["generate"]:
            for path, text in generated_files().items():
                path.write_text(text)
        case ["check"]:
            check()
        case _:
            sys.exit("usage: clients.py generate | check")


def check() -> None:
    """Lints the document, generates both clients and checks both packages. Fails on warnings."""
    stale = [path for path, text in generated_files().items() if not path.exists() or path.read_text() != text]
    if stale:
        sys.exit("\n".join(f"{path.relative_to(ROOT)} is not current: run `make generate`" for path in stale))
    with tempfile.TemporaryDirectory() as folder:
        python_client(Path(folder))
        if node():
            lint()
            typescript_client(Path(folder) / "typescript")
            node_sdk(Path(folder) / "sdk")


def generated_files() -> dict[Path, str]:
    """Returns the contents of the generated files. Those of sdk/node need Node.js."""
    document = json.loads(DOCUMENT.read_text())
    package = PYTHON_SDK / "src" / "tenon_client"
    files = {package / name: _formatted(text) for name, text in python_sdk.generate(document).items()}
    files[ROOT / "docs" / "reference.md"] = reference.generate(document)
    if node():
        files[NODE_SDK / "src" / "api.ts"] = _typescript_types("--default-non-nullable", "false")
    else:
        without_node("the OpenAPI linter, the TypeScript client and sdk/node")
    return files


def without_node(skipped: str) -> None:
    """Says what is skipped. Exits if nothing may be."""
    reason = "Node.js 20.19 or later is not installed"
    if os.environ.get("TENON_REQUIRE_ALL"):
        sys.exit(f"{skipped}: {reason}, and TENON_REQUIRE_ALL is set")
    print(f"skipping {skipped}: {reason}")


def node() -> str | None:
    """Returns the path of Node.js, or None if it or npm is missing or too old for the packages."""
    return shutil.which("node") if NODE_MODULES.is_dir() and shutil.which("npm") else None


def lint() -> None:
    """Lints the document with Redocly's recommended rules, all of which are errors."""
    program = NODE_MODULES / "@redocly" / "cli" / "bin" / "cli.js"
    _run(["node", str(program), "lint", "--extends", "recommended-strict", str(DOCUMENT)], ROOT)


def python_client(folder: Path) -> Path:
    """Generates the Python package `tenon_client` in a folder. Returns the program that uses it."""
    target = str(folder / "tenon_client")
    command = ["-m", "openapi_python_client", "generate", "--path", str(DOCUMENT), "--output-path", target]
    # The generator formats its result with the ruff of the same environment.
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
    (folder / "api.ts").write_text(_typescript_types())
    _compile(folder)
    return folder / "round_trip.js"


def node_sdk(folder: Path) -> None:
    """Compiles sdk/node in a new folder, its tests to `build` in it."""
    shutil.copytree(NODE_SDK, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "build"))
    (folder / "node_modules").symlink_to(NODE_MODULES)
    _compile(folder)
    _compile(folder / "tests")


def _compile(project: Path) -> None:
    _run(["node", str(NODE_MODULES / "typescript" / "bin" / "tsc"), "--project", str(project)], project)


def _typescript_types(*options: str) -> str:
    """Returns the types of the document in TypeScript."""
    generator = NODE_MODULES / "openapi-typescript" / "bin" / "cli.js"
    return _run(["node", str(generator), str(DOCUMENT), *options], ROOT)


def _formatted(text: str) -> str:
    """Returns a module of Python as ruff formats it."""
    command = [str(PYTHON.parent / "ruff"), "format", "-"]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True).stdout


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Runs a tool and returns its output. Prints that and exits if the tool fails or warns."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NODE_NO_WARNINGS": "1"}
    environment = {**(environment or os.environ), **quiet}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    if result.returncode or "⚠" in output:
        sys.exit(f"{' '.join(command)}:\n{output}")
    return result.stdout


if __name__ == "__main__":
    main()
