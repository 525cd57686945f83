"""Folders of the repository, and its functions by name."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Results of cargo.
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
# Installed tools, and data and keys of the local run.
LOCAL = ROOT / ".local"
# Code of a function in template.yaml: its folder in the release build.
CODE_URI = re.compile(r"CodeUri: target/lambda/(\w+)/")


def function_names() -> list[str]:
    """Returns the names of the binaries of the functions."""
    return sorted(source.stem for source in (ROOT / "functions/src/bin").glob("*.rs"))


def refer_to_zips(template: str) -> str:
    """Returns the template with zips in the folder `functions` instead of the release build."""
    return CODE_URI.sub(r"CodeUri: functions/\1.zip", template)
