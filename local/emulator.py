"""A local AWS on loopback: ministack with IAM enforcement.

A permission that is missing in the template's roles therefore fails here as it does on AWS.
"""

import contextlib
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from paths import ROOT

REGION = "us-east-1"
# The emulator treats a 12-digit access key id as the root user of the account with that number.
PRODUCT_ACCOUNT = "111111111111"
CUSTOMER_ACCOUNT = "222222222222"
# Time that the emulator may take to save its state.
SAVE_SECONDS = 60
# Line of its log if a service's state was not saved, for example because the disk is full.
UNSAVED = re.compile("Persistence: (failed to save|error getting state)")
# The local AWS is not reached through a proxy, also by what is started from here.
WITHOUT_PROXY = ("NO_PROXY", "no_proxy")
for name in WITHOUT_PROXY:
    os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost")))


def forget_settings() -> None:
    """Removes settings of AWS and of other emulators from the environment.

    An endpoint of a single service or a profile would be preferred to those of the local AWS.
    """
    for name in list(os.environ):
        if name == "SERVICES" or name.startswith(("AWS_", "LAMBDA_", "LOCALSTACK_", "MINISTACK_")):
            del os.environ[name]


@dataclass
class Emulator:
    """A running emulator. `process` is None if another process started it."""

    port: int
    secret: str
    process: "subprocess.Popen[bytes] | None" = None
    # Folder of its log and its state; none if another process started it.
    folder: Path | None = None

    @classmethod
    def of_environment(cls) -> "Emulator":
        """Returns the emulator that the environment variables of an AWS client name."""
        port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
        if port is None:
            sys.exit("AWS_ENDPOINT_URL must be the endpoint of the local AWS.")
        return cls(port, os.environ["AWS_SECRET_ACCESS_KEY"])

    @property
    def endpoint(self) -> str:
        """Endpoint URL of all AWS services."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, account: str = PRODUCT_ACCOUNT) -> Any:
        """Returns a client that acts as the root user of an account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key=self.secret,
            config=Config(retries={"max_attempts": 0}, read_timeout=120),
        )

    def environment(self) -> dict[str, str]:
        """Environment variables with which an AWS client acts as root of the product's account."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            # Read by boto3 and by version 1 of the AWS CLI.
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": PRODUCT_ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def is_running(self) -> bool:
        """Returns whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> bool:
        """Stops the emulator and the function processes that it started.

        Returns whether it has ended by itself when it was asked to, and saved its whole state.
        """
        if self.process is None or self.folder is None:
            return False
        try:
            was_running = self.is_running()
            if was_running:
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(SAVE_SECONDS)
            has_ended = was_running and self.process.poll() in (0, -signal.SIGTERM)
            return has_ended and not UNSAVED.search((self.folder / "emulator.log").read_text(errors="replace"))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            shutil.rmtree(_temporary(self.folder), ignore_errors=True)
            (self.folder / "emulator.pid").unlink(missing_ok=True)


def free_port(preferred: int = 0) -> int:
    """Returns an unused port on loopback, the preferred one if possible.

    Another is not one that the system gives to outgoing connections, which could take it before it
    is listened on.
    """
    port = preferred or random.randrange(20_000, 32_768)  # noqa: S311 (not a secret)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
        return port


def wait_until_served(url: str, process: "subprocess.Popen[bytes]", name: str) -> None:
    """Waits until a process that was started serves a URL. Exits with its name if it does not."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{name} stopped while it was starting.")
        # A server that accepts connections but is busy times out.
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.05)
    sys.exit(f"{name} did not start within a minute.")


def start(folder: Path, persist: bool, preferred_port: int = 0) -> Emulator:
    """Starts an emulator. The folder holds its log and, if `persist` is set, its state."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret_file = folder / "root-secret"
    if not secret_file.exists():
        secret_file.touch(mode=0o600)
        secret_file.write_text(secrets.token_hex(20))
    _stop_left_behind(folder / "emulator.pid")
    _reset_stream_positions(folder / "state" / "lambda.json")
    port, secret = free_port(preferred_port), secret_file.read_text()
    _change_port(folder, port)
    temporary = _temporary(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": PRODUCT_ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": PRODUCT_ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": secret,
        # The function processes that it starts use this endpoint too.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "PERSIST_STATE": "1" if persist else "0",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT / "local" / "patches"),
    }
    with (folder / "emulator.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Its own process group: Ctrl-C does not reach it, and `stop` ends all of it.
            start_new_session=True,
        )
    (folder / "emulator.pid").write_text(str(process.pid))
    emulator = Emulator(port, secret, process, folder)
    try:
        name = f"The emulator, whose log is {folder / 'emulator.log'},"
        wait_until_served(f"{emulator.endpoint}/_ministack/health", process, name)
    except BaseException:
        emulator.stop()
        raise
    return emulator


def _temporary(folder: Path) -> Path:
    """Returns the folder of temporary files, among them the code of all functions."""
    return folder / "tmp"


def _stop_left_behind(file: Path) -> None:
    """Stops an emulator of this folder whose parent was killed, and its functions."""
    if not file.exists():
        return
    pid = int(file.read_text() or 0)
    # The number may be that of another process now.
    if pid and "-m ministack" in _command_line(pid):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
            # Its port is free when it has ended.
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.05)
    file.unlink()


def _command_line(pid: int) -> str:
    """Returns the command line of a process, or an empty text if it has ended."""
    if Path("/proc/self").exists():
        # Slim systems have no `ps`.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        return ""
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout


def _change_port(folder: Path, port: int) -> None:
    """Replaces the port in the saved state, which has URLs of queues and of the API."""
    file = folder / "port"
    if file.exists() and file.read_text() != str(port):
        url = re.compile(rf"\b(127\.0\.0\.1|localhost):{file.read_text()}\b")
        for state in (folder / "state").glob("*.json"):
            _replace(state, url.sub(rf"\g<1>:{port}", state.read_text()))
    file.write_text(str(port))


def _reset_stream_positions(state: Path) -> None:
    """Removes the positions of stream readers from the saved state.

    The emulator saves these positions but not the streams. It would therefore skip as many new
    records as there were old ones.
    """
    if state.exists():
        saved = json.loads(state.read_text())
        saved["payload"].pop("dynamodb_stream_positions", None)
        _replace(state, json.dumps(saved))


def _replace(file: Path, text: str) -> None:
    """Writes a file so that it is complete, whatever happens meanwhile."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)
