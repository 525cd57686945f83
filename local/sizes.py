"""Checks the sizes of pages and functions against functions/sizes.toml."""

import os
import re
import subprocess
import sys
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

from paths import ROOT, TARGET, function_names

MEGABYTE = 1_000_000
LARGEST_CRATES = 10


def main() -> None:
    """Runs `check`, `table` or `crates BINARY` (the crates that fill a binary with symbols)."""
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["table"]:
            print(table())
        case ["crates", binary]:
            print(crates(Path(binary)))
        case _:
            sys.exit("usage: sizes.py check | table | crates BINARY")


def benched(name: str) -> Path:
    """Returns the path of a function's binary from `make bench`, built for this machine."""
    return TARGET / os.environ.get("TENON_PROFILE", "release") / name


def newest(name: str, profile: str) -> Path:
    """Returns the path of a function's newest binary that is built with a profile."""
    # cargo-lambda builds for a target, `make bench` for this machine.
    paths = [TARGET / profile / name, *TARGET.glob(f"*-linux-gnu/{profile}/{name}")]
    built = [path for path in paths if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=paths[0])


def zipped(path: Path) -> int:
    """Returns the compressed size of a binary in bytes, as it is uploaded."""
    return len(zlib.compress(path.read_bytes(), 6))


def sizes(of: Callable[[str], Path]) -> dict[str, tuple[int, int]]:
    """Returns the uncompressed and compressed size in bytes of each function that is built."""
    names = function_names()
    found = {name: path for name in names if (path := of(name)).is_file()}
    with ThreadPoolExecutor() as pool:
        compressed = pool.map(zipped, found.values())
        return {name: (path.stat().st_size, size) for (name, path), size in zip(found.items(), compressed, strict=True)}


def sent(path: Path) -> str:
    """Returns a file of a page as functions/src/api/page.rs sends it.

    Neither scripts nor style sheets have indentation. Scripts have no comments but the one at
    their start.
    """
    text = path.read_text()
    if path.suffix != ".js":
        return re.sub(r"^ +", "", text, flags=re.MULTILINE)
    head = "".join(takewhile(lambda line: line.startswith("//"), text.splitlines(keepends=True)))
    return head + re.sub(r"^ *(//.*)?\n?", "", text[len(head) :], flags=re.MULTILINE)


def check() -> None:
    """Exits with an error if a page or a function exceeds its size limit."""
    budget = tomllib.loads((ROOT / "functions/sizes.toml").read_text())
    for name, limit in budget["pages"].items():
        files = sorted(path for path in (ROOT / "functions/src/api" / name).iterdir() if path.suffix != ".rs")
        size = len(zlib.compress("".join(map(sent, files)).encode(), 9))
        if size > limit * 1000:
            sys.exit(f"page {name}: {size / 1000:.1f} kB compressed exceeds the limit in functions/sizes.toml")
        print(f"page {name}: {size / 1000:.1f} kB compressed, at most {limit} kB")
    for profile, limits in budget["functions"].items():
        check_functions(profile, limits)


def check_functions(profile: str, limits: dict[str, Any]) -> None:
    """Exits with an error if a function that is built with a profile exceeds its limit."""
    found = sizes(lambda name: newest(name, profile))
    if not found:
        print(f"function sizes: not checked for the profile {profile}, because there is no such build")
        return
    wrong = [
        f"{name}: {size / MEGABYTE:.2f} MB compressed exceeds the limit of {limit} MB for the profile {profile}"
        " in functions/sizes.toml"
        for name, (_, size) in found.items()
        if size > (limit := limits["larger"].get(name, limits["most"])) * MEGABYTE
    ]
    unknown = [
        f"functions/sizes.toml: {name} is not a function"
        for name in limits["larger"]
        if not (ROOT / f"functions/src/bin/{name}.rs").exists()
    ]
    if wrong or unknown:
        sys.exit("\n".join(wrong + unknown))
    print(f"function sizes: {len(found)} functions of the profile {profile} are within their limits")


def table() -> str:
    """Returns the sizes as a table, largest first."""
    rows = sorted(sizes(benched).items(), key=lambda row: -row[1][1])
    lines = [f"| `{name}` | {size / MEGABYTE:.2f} | {small / MEGABYTE:.2f} |" for name, (size, small) in rows]
    return "\n".join(["| function | MB | MB zipped |", "|---|---|---|", *lines])


def crates(binary: Path) -> str:
    """Returns the largest crates of a binary as a table, by the symbols of its code.

    Generic code counts for the crate that its symbol names first.
    """
    listed = subprocess.run(["nm", "--print-size", "--demangle", binary], capture_output=True, text=True, check=True)
    sizes: Counter[str] = Counter()
    for line in listed.stdout.splitlines():
        symbol = re.fullmatch(r"[0-9a-f]+ ([0-9a-f]+) [tTwW] (.*)", line)
        if symbol:
            named = re.search(r"([a-z_][a-z0-9_]*)::", symbol[2])
            sizes[named[1] if named else "C and assembly"] += int(symbol[1], 16)
    lines = [f"| {name} | {size / 1000:.0f} |" for name, size in sizes.most_common(LARGEST_CRATES)]
    return "\n".join(["| crate | kB of code |", "|---|---|", *lines])


if __name__ == "__main__":
    main()
