"""A local AWS on loopback: ministack, with IAM enforced, so that what the template's roles do not allow fails here as it
does on AWS."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
# To the emulator a 12-digit access key id is the root of the account of that number.
PRODUCT_ACCOUNT = "111111111111"
CUSTOMER_ACCOUNT = "222222222222"


@dataclass
class Emulator:
    """A running emulator."""

    port: int
    secret: str
    process: subprocess.Popen

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, account: str = PRODUCT_ACCOUNT):
        """A client that acts as the root of an account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key=self.secret,
            config=Config(retries={"max_attempts": 0}, read_timeout=120),
        )

    def environment(self) -> dict[str, str]:
        """What an AWS client needs in its environment to act as the root of the product's account."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": PRODUCT_ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def stop(self) -> None:
        """Ends the emulator and the function processes that it started."""
        try:
            if self.process.poll() is None:
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def free_port(preferred: int = 0) -> int:
    """A port on loopback that nothing listens on: the preferred one where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return free_port()
        return probe.getsockname()[1]


def start(folder: Path, persist: bool, preferred_port: int = 0) -> Emulator:
    """Starts an emulator with its log, and its state where that is to outlive it, in a folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret_file = folder / "root-secret"
    if not secret_file.exists():
        secret_file.touch(mode=0o600)
        secret_file.write_text(secrets.token_hex(20))
    _forget_stream_positions(folder / "state" / "lambda.json")
    port, secret = free_port(preferred_port), secret_file.read_text()
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
        # The function processes that it starts call back to it.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "PERSIST_STATE": "1" if persist else "0",
        "STATE_DIR": str(folder / "state"),
        "PYTHONPATH": str(ROOT / "local" / "patches"),
    }
    with (folder / "emulator.log").open("w") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("ministack")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own, so that Ctrl-C reaches it by way of `stop` only and nothing outlives it.
            start_new_session=True,
        )
    emulator = Emulator(port, secret, process)
    try:
        _wait(emulator, folder / "emulator.log")
    except BaseException:
        emulator.stop()
        raise
    return emulator


def _forget_stream_positions(state: Path) -> None:
    """Lets every stream be read from its start again. The emulator keeps how far a stream was read, but not the stream,
    so that it would pass over as many new records as there were old ones."""
    if state.exists():
        kept = json.loads(state.read_text())
        kept["payload"].pop("dynamodb_stream_positions", None)
        state.write_text(json.dumps(kept))


def _wait(emulator: Emulator, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if emulator.process.poll() is not None:
            sys.exit(f"the emulator ended at once; its log is {log}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{emulator.endpoint}/_ministack/health", timeout=5).close()
            return
        time.sleep(0.05)
    sys.exit(f"the emulator did not answer within a minute; its log is {log}")
