"""`make run`: starts the local stack, shows the main job, and stays up until Ctrl-C. `make demo`: shows it again. `make
status`: shows how deliveries do."""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time

import emulator
import stack
import status
from demo import BOLD, DIM, PLAIN, Demonstration
from emulator import Emulator
from stack import LOCAL

STATE = LOCAL / "run"
SETTINGS = LOCAL / "env"
RUNNING = STATE / "running.json"
# The port that local AWS emulators usually have.
PORT = 4566


def main() -> None:
    """Runs the command that make names."""
    match sys.argv[1:]:
        case ["run"]:
            run()
        case ["demo"]:
            demonstrate_again()
        case ["status"]:
            local = running()
            status.show(local, stack.describe(local))
        case _:
            sys.exit("usage: run.py run | demo | status")


def run() -> None:
    """Starts what is needed, shows the main job, and stays up."""
    STATE.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (STATE / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("make run is up already: `make demo` shows the main job again")
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: _interrupted(stop))

    digest = stack.collect(STATE)
    deployed = STATE / "deployed"
    if not deployed.exists() or deployed.read_text() != digest:
        # What an older version has stored is not for this one to read.
        deployed.unlink(missing_ok=True)
        shutil.rmtree(STATE / "state", ignore_errors=True)
    local = emulator.start(STATE, persist=True, preferred_port=PORT)
    try:
        found = stack.describe(local) if deployed.exists() else deploy(local)
        deployed.write_text(digest)
        RUNNING.write_text(json.dumps({"port": local.port}))
        settings = Demonstration(local, found).run()
        write_settings(settings)
        print_what_to_try(settings)
        stop.armed = True
        stop.wait()
        print("\nstopping …", flush=True)
    except KeyboardInterrupt:
        sys.exit("\nstopped before the end")
    finally:
        RUNNING.unlink(missing_ok=True)
        with contextlib.suppress(KeyboardInterrupt):
            local.stop()


def _interrupted(stop: threading.Event) -> None:
    if getattr(stop, "armed", False):
        stop.set()
    else:
        # In the middle of a step: leave by the way that cleans up.
        raise KeyboardInterrupt


def deploy(local: Emulator) -> stack.Stack:
    """Deploys what was collected, and says how long that takes."""
    print("deploying template.yaml into the local AWS (about half a minute) …", flush=True)
    started = time.monotonic()
    found = stack.deploy(local, STATE)
    print(f"deployed in {time.monotonic() - started:.0f} s", flush=True)
    return found


def demonstrate_again() -> None:
    """Shows the main job against what is up."""
    local = running()
    settings = Demonstration(local, stack.describe(local)).run()
    write_settings(settings)
    print_what_to_try(settings)


def running() -> Emulator:
    """The emulator that `make run` started."""
    if not RUNNING.exists():
        sys.exit("nothing is up: start it with `make run`")
    return Emulator(json.loads(RUNNING.read_text())["port"], (STATE / "root-secret").read_text(), None)


def write_settings(settings: dict[str, str]) -> None:
    """Writes the settings for scripts, readable by their owner alone."""
    SETTINGS.unlink(missing_ok=True)
    descriptor = os.open(SETTINGS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def print_what_to_try(settings: dict[str, str]) -> None:
    """Prints where Tenon is, the keys, and commands that work as they are printed."""
    url, workflow = settings["TENON_URL"], settings["TENON_WORKFLOW"]
    backend, engine = settings["TENON_BACKEND_KEY"], settings["TENON_ENGINE_KEY"]
    error = json.dumps({"executionId": "e-1", "blockId": "b-1", "blockType": "alloy.shopify", "error": "Error: tried by hand"})
    print(f"""
{BOLD}Tenon is up at{PLAIN} {url}

  console               {url}/console   {DIM}(sign in with the key of the back end){PLAIN}
  key of the back end   {backend}
  key of the engine     {engine}
  settings for scripts  .local/env   {DIM}(. .local/env){PLAIN}

Try:

  curl -s -H 'Authorization: Bearer {backend}' '{url}/users/joe.smoe@acme.example'

  curl -s -H 'Authorization: Bearer {engine}' -H 'Content-Type: application/json' -d '{error}' '{url}/workflows/{workflow}/errors'

  curl -s -H 'Authorization: Bearer {backend}' '{url}/workflows/{workflow}/errors?limit=5'
""", flush=True)


if __name__ == "__main__":
    main()
