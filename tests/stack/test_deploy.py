"""The checks that precede a deployment."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from deploy import RUST_TARGETS
from emulator import ROOT, Emulator

# Rust is installed at least for this machine.
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def check(stack: str, architecture: str = ARCHITECTURE, **settings: str | None) -> tuple[int, str]:
    """Runs the checks with changed environment variables. Returns the exit code and the output."""
    environment = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", **settings}
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, str(ROOT / "local" / "deploy.py"), stack, architecture]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not result.stderr, result.stderr
    return result.returncode, result.stdout


def test_a_deployment_is_checked_before_anything_is_built(emulator: Emulator) -> None:
    code, output = check("tenon", RUSTUP_HOME=os.environ.get("RUSTUP_HOME", str(Path("~/.rustup").expanduser())))
    assert "✗" not in output, output
    assert code == 0
    for fact in (
        "stack tenon",
        f"target {RUST_TARGETS[ARCHITECTURE]}",
        "region us-east-1",
        "account 111111111111",
        "concurrent",
    ):
        assert fact in output


def test_every_obstacle_to_a_deployment_is_named_at_once(emulator: Emulator) -> None:
    code, output = check(
        "a" * 38,
        "arm",
        AWS_REGION=None,
        AWS_DEFAULT_REGION=None,
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
        CARGO_TARGET_DIR="elsewhere",
    )
    assert code == 1
    for obstacle in (
        "38 characters; at most 37 fit",
        "ARCH=arm must be arm64 or x86_64",
        "CARGO_TARGET_DIR is elsewhere",
        "no AWS region: set AWS_REGION",
        "no valid AWS credentials",
    ):
        assert obstacle in output, output


def test_a_stack_name_must_be_valid() -> None:
    code, output = check("1_tenon")
    assert code == 1
    assert "must be a letter, followed by letters, digits and hyphens" in output
