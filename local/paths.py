"""Folders of the repository."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Results of cargo.
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
# Installed tools, and data and keys of the local run.
LOCAL = ROOT / ".local"


def function_names() -> list[str]:
    """Returns the names of the binaries of the functions."""
    return sorted(source.stem for source in (ROOT / "functions/src/bin").glob("*.rs"))
