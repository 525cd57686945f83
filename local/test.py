"""Runs a command with its own stack: an emulator on a free port and the template deployed to it.

The command's environment contains their addresses. `make test` runs all tests this way,
independently of a local run.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import axe_playwright_python
import clients
import customer
import emulator
import samcli
import stack
from emulator import CUSTOMER_ACCOUNT
from paths import ROOT

# Priorities below those of the local AWS and the functions, which must answer in time.
LOWER, LOWEST = ["nice", "-n", "5"], ["nice", "-n", "10"]
# Tests of the stack by markers, each on a stack of its own. They mostly wait, and fill the time in
# which the Rust tests wait. Without a browser, the few others of the console need no stack.
SELECTIONS = ["alone", "clients", "console", "not alone and not clients and not console"]
SELECTIONS_WITHOUT_BROWSER = ["alone", "clients", "not alone and not clients"]
# Report of nextest, as `.config/nextest.toml` has it.
NEXTEST_REPORT = stack.TARGET / "nextest" / "default" / "junit.xml"
# Script of axe-core, the accessibility checker.
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


def main() -> None:
    """Runs the command of the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--stack-tests", action="store_true", help="with a Rust test runner: also run the tests of the stack"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    emulator.forget_settings()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit("terminated"))
    if not arguments.stack_tests:
        sys.exit(run(arguments.command))
    name_skipped_tests()
    NEXTEST_REPORT.unlink(missing_ok=True)
    selections = SELECTIONS if has_browser() else SELECTIONS_WITHOUT_BROWSER
    with contextlib.ExitStack() as started:
        finishes = [started.enter_context(stack_tests(selection)) for selection in selections]
        print("building the tests …", flush=True)
        # The Rust tests start when they are built, and would be the last to end.
        code = wait_for([*arguments.command, "--no-run"])
        code = code or run(arguments.command, expects_logs=True)
        results = [Result("Rust tests", code, failures(NEXTEST_REPORT)), *(finish() for finish in finishes)]
    for result in filter(lambda result: result.code, results):
        print(f"{result.tests}: exit code {result.code}", *result.failures, sep="\n  ", flush=True)
        code = code or result.code
    sys.exit(code)


def has_browser() -> bool:
    """Returns whether Chromium and its driver are installed."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def name_skipped_tests() -> None:
    """Names the tests that are skipped because a program is missing. Exits if none may be."""
    needed = [
        (has_browser(), "browser tests: needs chromium and chromedriver (Debian: chromium, chromium-driver)"),
        (clients.node(), "tests of JavaScript and of the npm packages: needs Node.js 20.19 or later with npm"),
        (shutil.which("aws"), "tests of deploy.sh and of one example of the guides: needs the AWS CLI"),
    ]
    skipped = [f"skipping the {tests}" for is_installed, tests in needed if not is_installed]
    print(*skipped, sep="\n", end="\n" if skipped else "", flush=True)
    if skipped and os.environ.get("TENON_REQUIRE_ALL"):
        sys.exit("TENON_REQUIRE_ALL is set, so that no test may be skipped.")


@dataclass
class Result:
    """Exit code of a group of tests, and the failed tests with their messages."""

    tests: str
    code: int
    failures: list[str]


def failures(report: Path) -> list[str]:
    """Returns the failed tests of a JUnit report, each with the start of its message.

    A group that did not start has no report, and no failed tests.
    """
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 (written by the test runners)
    failed = ((case, case.find(kind)) for case in cases for kind in ("failure", "error"))
    return [
        f"{case.get('classname')} {case.get('name')}: {failure.get('message', '')[:500]}"
        for case, failure in failed
        if failure is not None
    ]


@contextlib.contextmanager
def stack_tests(selection: str) -> Iterator[Callable[[], Result]]:
    """Starts the tests in `tests/stack` whose markers match, on a stack of their own.

    Yields a function that waits for their end and prints their output.
    """
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-p", "no:cacheprovider", "--quiet", "--durations=10", f"--junit-xml={report}", "-m", selection]
        command = [sys.executable, __file__, sys.executable, "-m", "pytest", *options, "tests/stack"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT)

        def finish() -> Result:
            print(f"waiting for the tests of the stack with the markers `{selection}` …", flush=True)
            code = process.wait()
            output.seek(0)
            print(output.read(), flush=True)
            return Result(f"tests of the stack with the markers `{selection}`", code, failures(report))

        try:
            yield finish
        finally:
            process.terminate()
            process.wait()


def run(command: list[str], expects_logs: bool = False) -> int:
    """Runs a command with a new stack. Returns its exit code, or 1 if a secret is in the logs.

    With `expects_logs`, empty logs are an error: no secret would be found in them.
    """
    folder = Path(tempfile.mkdtemp(prefix="tenon-test-"))
    local: emulator.Emulator | None = None
    driver: ChromeDriver | None = None
    code: int | None = None
    try:
        stack.collect(folder)
        print("starting a local AWS and deploying template.yaml to it (about half a minute) …", flush=True)
        local = emulator.start(folder, persist=False)
        deployed = stack.deploy(local, folder)
        keys = customer.make_keys(local, "tenon-test", "tenon-test-*")
        environment = {
            **os.environ,
            **local.environment(),
            "TENON_URL": deployed.url,
            **{f"TENON_STACK_{name}": value for name, value in deployed.outputs.items()},
            "TENON_CUSTOMER_ACCOUNT": CUSTOMER_ACCOUNT,
            "TENON_CUSTOMER_KEY_ID": keys.access_key_id,
            "TENON_CUSTOMER_SECRET": keys.secret_access_key,
            **own_settings(local, deployed),
            "TENON_PYTHON": sys.executable,
            "TENON_ROOT": str(ROOT),
            "TENON_FUNCTIONS": str(folder / "functions"),
            "TENON_RIE": str(runtime_interface_emulator()),
        }
        driver = start_chromedriver()
        if driver:
            emulator.wait_until_served(f"{driver.url}/status", driver.process, "ChromeDriver")
            environment |= {"TENON_CHROMEDRIVER": driver.url, "TENON_AXE": str(AXE)}
        code = wait_for([*LOWER, *command], env=environment)
        keep_logs(local, folder / "functions.log")
        leaks = search_for_secrets(folder / "functions.log", keys, expected=expects_logs)
        code = code or leaks
    finally:
        if driver:
            driver.process.terminate()
            driver.process.wait()
        if local:
            local.stop()
        if code == 0 or not (folder / "emulator.log").exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            for program in (*folder.glob("local-*"), folder / "functions"):
                shutil.rmtree(program) if program.is_dir() else program.unlink(missing_ok=True)
            print(f"logs of the emulator and the functions: {folder}", file=sys.stderr)
    return code


def wait_for(command: list[str], **options: Any) -> int:
    """Runs a command. Returns its exit code.

    If this program is interrupted or terminated, the command can first stop what it started.
    """
    process = subprocess.Popen(command, cwd=ROOT, **options)
    try:
        return process.wait()
    except BaseException as reason:
        # Ctrl-C has already reached the command.
        if not isinstance(reason, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        finally:
            process.kill()
            process.wait()
        raise


@dataclass
class ChromeDriver:
    """A running ChromeDriver, which starts Chromium for each session."""

    process: "subprocess.Popen[bytes]"
    url: str


def start_chromedriver() -> ChromeDriver | None:
    """Starts ChromeDriver for the browser tests if it is installed with Chromium."""
    if not has_browser():
        return None
    port = emulator.free_port()
    command = [*LOWEST, "chromedriver", f"--port={port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ChromeDriver(process, f"http://127.0.0.1:{port}")


def runtime_interface_emulator() -> Path:
    """Returns the path of the Lambda Runtime Interface Emulator, which is part of SAM."""
    return Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{stack.ARCHITECTURE}"


def own_settings(local: emulator.Emulator, deployed: stack.Stack) -> dict[str, str]:
    """Returns the functions' environment variables for tests that run functions outside the stack.

    These tests use separate tables of the same structure and a separate KMS key, because only the
    functions' roles may use the stack's keys.
    """
    configuration = local.client("lambda").get_function_configuration(FunctionName=deployed.outputs["ForwardErrors"])
    settings = configuration["Environment"]["Variables"]
    dynamodb = local.client("dynamodb")
    for name in ("DIRECTORY_TABLE", "ERRORS_TABLE"):
        table = dynamodb.describe_table(TableName=settings[name])["Table"]
        settings[name] += "-alone"
        dynamodb.create_table(
            TableName=settings[name],
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=table["AttributeDefinitions"],
            KeySchema=table["KeySchema"],
            GlobalSecondaryIndexes=[
                {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
                for index in table["GlobalSecondaryIndexes"]
            ],
        )
    key = local.client("kms").create_key()["KeyMetadata"]["KeyId"]
    return {**settings, "SIGNING_KEY": key, "DESTINATIONS_KEY": key, "CREDENTIALS_KEY": key, "PUBLIC_URL": ""}


def keep_logs(local: emulator.Emulator, path: Path) -> None:
    """Writes the logs of all functions to a file."""
    logs = local.client("logs")
    with path.open("w") as file:
        for group in logs.describe_log_groups()["logGroups"]:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                file.writelines(f"{group['logGroupName']} {event['message'].rstrip()}\n" for event in page["events"])


def search_for_secrets(path: Path, keys: customer.Keys, expected: bool) -> int:
    """Searches the logs for API keys, tokens, webhook secrets and the customer's AWS keys.

    Returns the exit code: 1 if a secret was found, or if the log is unexpectedly empty.
    """
    secret = re.compile(
        rf"tn_(live|test)_[0-9A-Za-z]{{49}}|whsec_[0-9A-Za-z+/]{{8}}|eyJ[\w-]{{8,}}\.eyJ[\w-]{{8,}}|{keys.access_key_id}|{re.escape(keys.secret_access_key)}"
    )
    lines = path.read_text().splitlines()
    leaks = [line for line in lines if secret.search(line)]
    for line in leaks:
        print(f"secret in the logs: {secret.sub('…', line)}", file=sys.stderr)
    print(f"searched {len(lines)} log lines of the functions for secrets: {len(leaks)} found", flush=True)
    if expected and not lines:
        print("the functions have logged nothing, so that the search proves nothing", file=sys.stderr)
    return 1 if leaks or (expected and not lines) else 0


if __name__ == "__main__":
    main()
