"""Checks in seconds what would make `make deploy` fail after minutes: the stack's name, the Rust
target, the AWS region and credentials, and the account's limit of concurrent executions.

Usage: deploy.py STACK ARCHITECTURE
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import boto3
import botocore.exceptions
from emulator import ROOT

# Maximum length of a function's name (AWS limit).
MAX_FUNCTION_NAME = 64
# Usual limit of an account. Below it, the parameters for concurrency must be lowered.
USUAL_CONCURRENCY = 1000
RUST_TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}


class ObstacleError(Exception):
    """Reason why a deployment would fail."""


def main() -> None:
    """Prints the result of each check. Exits with 1 if one failed."""
    stack, architecture = sys.argv[1:]
    checks: list[Callable[[], str]] = [
        lambda: stack_name(stack),
        lambda: rust_target(architecture),
        target_folder,
        region,
        identity,
        concurrency,
    ]
    failed = False
    for check in checks:
        try:
            print(f"  ✓ {check()}", flush=True)
        except ObstacleError as reason:
            failed = True
            print(f"  ✗ {reason}", flush=True)
    sys.exit(1 if failed else 0)


def stack_name(name: str) -> str:
    """Checks that the names of all functions fit into AWS's limit."""
    suffixes = re.findall(r"\$\{AWS::StackName\}(-[a-z-]+)\"", (ROOT / "template.yaml").read_text())
    maximum = MAX_FUNCTION_NAME - max(map(len, suffixes))
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise ObstacleError(f"the stack name {name!r} must be a letter, followed by letters, digits and hyphens")
    if len(name) > maximum:
        raise ObstacleError(
            f"the stack name {name} has {len(name)} characters; at most {maximum} fit into the functions' names"
        )
    return f"stack {name}"


def rust_target(architecture: str) -> str:
    """Checks that Rust can build for the functions' architecture."""
    if architecture not in RUST_TARGETS:
        raise ObstacleError(f"ARCH={architecture} must be {' or '.join(RUST_TARGETS)}")
    target = RUST_TARGETS[architecture]
    if not shutil.which("rustup"):
        return f"{architecture} (rustup is not installed; make sure that Rust has the target {target})"
    installed = subprocess.run(
        ["rustup", "target", "list", "--installed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if target not in installed.stdout.split():
        raise ObstacleError(f"Rust cannot build for {architecture}: run `rustup target add {target}`")
    return f"Rust target {target}"


def target_folder() -> str:
    """Checks that cargo builds into the folder from which SAM deploys."""
    folder = os.environ.get("CARGO_TARGET_DIR")
    if folder and (ROOT / folder).resolve() != (ROOT / "target").resolve():
        raise ObstacleError(f"CARGO_TARGET_DIR is {folder}, but SAM deploys the functions from target/: unset it")
    return "build folder target/"


def region() -> str:
    """Checks that AWS_REGION or the profile names a region."""
    name = _session().region_name
    if not name:
        raise ObstacleError("no AWS region: set AWS_REGION, or a region in your AWS profile")
    return f"region {name}"


def identity() -> str:
    """Checks the credentials."""
    try:
        caller = _session().client("sts", region_name=_session().region_name or "us-east-1").get_caller_identity()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise ObstacleError(f"no valid AWS credentials: {error}") from error
    return f"account {caller['Account']} as {caller['Arn']}"


def concurrency() -> str:
    """Reports the limit of concurrent executions. The stack also deploys with a low one."""
    try:
        settings = _session().client("lambda", region_name=_session().region_name or "us-east-1").get_account_settings()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return f"limit of concurrent executions unknown: {error}"
    limit = settings["AccountLimit"]["ConcurrentExecutions"]
    if limit < USUAL_CONCURRENCY:
        return f"only {limit} concurrent executions in this account; see docs/operations.md for fitting parameters"
    return f"{limit} concurrent executions"


def _session() -> boto3.Session:
    # boto3 reads AWS_DEFAULT_REGION only, other AWS tools also AWS_REGION.
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


if __name__ == "__main__":
    main()
