"""Commands of the local run.

`make run` starts the local stack, demonstrates the main flow, starts the demo shop and stays up
until Ctrl-C. `make demo` repeats the demonstration. `make status` shows delivery health.
"""

import fcntl
import json
import shutil
import signal
import sys
import time
from typing import TextIO

import emulator
import stack
import status
from demo import Demonstration
from emulator import Emulator
from paths import LOCAL
from settings import local_settings, write_settings
from shop import Shop
from terminal import BOLD, DIM, PLAIN

STATE = LOCAL / "run"
RUNNING = STATE / "running.json"
# Signals that stop the local run.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Usual port of local AWS emulators.
PORT = 4566


def main() -> None:
    """Runs the command that the arguments name."""
    emulator.forget_settings()
    try:
        execute(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("\nInterrupted")


def execute(arguments: list[str]) -> None:
    """Runs a command."""
    match arguments:
        case ["run"]:
            run()
        case ["demo"]:
            demonstrate(running(), json.loads(RUNNING.read_text())["shop"])
        case ["status"]:
            local = running()
            status.show(local, stack.describe(local))
        case _:
            sys.exit("usage: run.py run | demo | status")


def run() -> None:
    """Starts and deploys the stack if necessary, demonstrates the main flow, and stays up."""
    STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _lock()
    if not lock:
        sys.exit("`make run` is already running. `make demo` repeats the demonstration.")
    for name in SIGNALS:
        signal.signal(name, _interrupt)

    digest = stack.collect(STATE)
    # Digest of the functions whose stack is saved. Missing while it runs: the emulator saves its
    # state when it stops.
    saved = STATE / "deployed"
    is_saved = saved.exists() and saved.read_text() == digest
    if not is_saved:
        # Another build might not read the data of this one. What was not saved completely is lost.
        saved.unlink(missing_ok=True)
        shutil.rmtree(STATE / "state", ignore_errors=True)
    # Before what takes long: its port may be invalid or in use.
    shop = Shop(local_settings)
    local = emulator.start(STATE, persist=True, preferred_port=PORT)
    saved.unlink(missing_ok=True)
    deployed = started = False
    try:
        found = stack.describe(local) if is_saved else deploy(local)
        deployed = True
        RUNNING.write_text(json.dumps({"port": local.port, "shop": shop.url}))
        demonstrate(local, shop.url, found)
        started = True
        with shop:
            while local.is_running():
                time.sleep(0.5)
        sys.exit(f"The local AWS has stopped. Its log is {STATE / 'emulator.log'}")
    except KeyboardInterrupt:
        if not started:
            sys.exit("\nInterrupted before the demonstration ended")
        print("\nstopping …", flush=True)
    finally:
        for name in SIGNALS:
            signal.signal(name, signal.SIG_IGN)
        RUNNING.unlink(missing_ok=True)
        if local.stop() and deployed:
            saved.write_text(digest)


def _lock() -> TextIO | None:
    """Returns the lock of the local run, held while the file is open, or none if it is running."""
    lock = (STATE / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


def _interrupt(*_: object) -> None:
    # Unwinds through the `finally` blocks, which stop the emulator.
    raise KeyboardInterrupt


def deploy(local: Emulator) -> stack.Stack:
    """Deploys the collected functions, and prints how long it took."""
    print("deploying template.yaml to the local AWS (about half a minute) …", flush=True)
    started = time.monotonic()
    found = stack.deploy(local, STATE)
    print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
    return found


def demonstrate(local: Emulator, shop: str, found: stack.Stack | None = None) -> None:
    """Demonstrates the main flow, and writes and prints the settings."""
    settings = Demonstration(local, found or stack.describe(local)).run() | {"TENON_SHOP_URL": shop}
    write_settings(settings)
    print_settings(settings)


def running() -> Emulator:
    """Returns the emulator that `make run` started."""
    if not RUNNING.exists() or _lock():
        sys.exit("The local stack is not running. Start it with `make run`.")
    return Emulator(json.loads(RUNNING.read_text())["port"], (STATE / "root-secret").read_text())


def print_settings(settings: dict[str, str]) -> None:
    """Prints the URLs, the API keys, and commands that run as printed."""
    url, workflow = settings["TENON_URL"], settings["TENON_WORKFLOW"]
    backend, engine = settings["TENON_BACKEND_KEY"], settings["TENON_ENGINE_KEY"]
    error = json.dumps(
        {"executionId": "e-1", "blockId": "b-1", "blockType": "alloy.shopify", "error": "Error: example"}
    )
    print(
        f"""
{BOLD}Tenon is running at{PLAIN} {url}

  demo shop              {settings["TENON_SHOP_URL"]}   {DIM}(an invented app with the embedded modal){PLAIN}
  console                {url}/console   {DIM}(sign in with the back-end key){PLAIN}
  back-end key           {backend}
  engine key             {engine}
  settings for scripts   .local/env   {DIM}(. .local/env){PLAIN}

Try:

  curl -s -H 'Authorization: Bearer {backend}' '{url}/users/joe.smoe@acme.example'

  curl -s -H 'Authorization: Bearer {engine}' -H 'Content-Type: application/json' -d '{error}' '{url}/workflows/{workflow}/errors'

  curl -s -H 'Authorization: Bearer {backend}' '{url}/workflows/{workflow}/errors?limit=5'

In another terminal: make status, make tail, make demo. Ctrl-C stops the stack.
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
