"""Generates and checks the host side of the embedded modal in sdk/.

sdk/tenon.js is an ES module. sdk/tenon.global.js is generated from it, for pages without modules.
The API serves both without comments and indentation, and the module with its URL.
"""

import gzip
import json
import re
import sys
import tomllib
from pathlib import Path

from paths import ROOT

SDK = ROOT / "sdk"
MODULE, CLASSIC = SDK / "tenon.js", SDK / "tenon.global.js"
# The size of each script that pages load must be below this number of bytes after compression.
SIZE_LIMIT = 5_000

# Parts of the module, each of which occurs once, and their replacements in the classic script.
REPLACEMENTS = {
    "import.meta.url": "globalThis.document?.currentScript?.src",
    "export { open };": "globalThis.Tenon = { open };",
}


def main() -> None:
    """Runs `generate`, which writes the classic script, or `check`."""
    match sys.argv[1:]:
        case ["generate"]:
            CLASSIC.write_text(classic())
        case ["check"]:
            check()
        case _:
            sys.exit("usage: sdk.py generate | check")


def served(script: Path) -> str:
    """Returns a script as the API serves it: without indentation and comments, with its URL."""
    text = re.sub(r"^ *(//.*\n)?", "", script.read_text(), flags=re.MULTILINE)
    return text.replace('const SCRIPT_URL = "";', "const SCRIPT_URL = import.meta.url;")


def classic() -> str:
    """Returns the classic script: the module as a function in strict mode."""
    text = served(MODULE)
    for part, replacement in REPLACEMENTS.items():
        if text.count(part) != 1:
            sys.exit(f"sdk/tenon.js must contain `{part}` once")
        text = text.replace(part, replacement)
    return f'// Generated from tenon.js by `make generate`.\n(() => {{\n"use strict";\n\n{text}}})();\n'


def check() -> None:
    """Exits with an error if a file is not current or too large."""
    problems = []
    if not CLASSIC.exists() or CLASSIC.read_text() != classic():
        problems.append("sdk/tenon.global.js is not current: run `make generate`")
    for path in (MODULE, CLASSIC):
        size = len(gzip.compress(served(path).encode(), mtime=0))
        print(f"sdk/{path.name}: {size} bytes compressed, below {SIZE_LIMIT}")
        if size >= SIZE_LIMIT:
            problems.append(f"sdk/{path.name} is too large")
    package = json.loads((SDK / "package.json").read_text())
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    problems += [
        f"sdk/package.json must have the {name} of Cargo.toml: {workspace[name]}"
        for name in ("version", "license")
        if package[name] != workspace[name]
    ]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
