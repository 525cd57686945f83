"""Projects that use the package in sdk/ as npm packs it."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import clients
import pytest
from paths import ROOT

SDK = ROOT / "sdk"
# Sources of the projects, and the packages that they require.
SOURCES = ROOT / "tests" / "sdk"
INSTALLED = ROOT / ".local" / "sdk-node"

REACT_VERSIONS = ("18", "19")

needs_node = pytest.mark.skipif(not clients.node(), reason="needs Node.js")


def pack(folder: Path) -> Path:
    """Packs the package into a folder. Returns the folder of its files."""
    output = run(["npm", "pack", str(SDK), "--json", "--pack-destination", str(folder)], folder)
    [packed] = json.loads(output)
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def make_project(folder: Path, sources: Path, package: Path, react: str = "19") -> None:
    """Copies a project to a folder, and links its packages."""
    shutil.copytree(sources, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "dist"))
    modules = folder / "node_modules"
    # A package finds its own dependencies where it is installed.
    for installed in (INSTALLED, INSTALLED / f"react-{react}"):
        if installed.is_dir():
            for source in (installed / "node_modules").iterdir():
                link = modules / source.name
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(source)
    # A copy finds the packages of the project.
    shutil.copytree(package, modules / "@tenon" / "modal")


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Runs a program of a project. Returns its output, or fails with it."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
