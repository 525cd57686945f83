"""Settings of the local run: the URL and the API keys of its last demonstration."""

import functools
import os
import shlex
import sys

from emulator import WITHOUT_PROXY
from paths import LOCAL

# File that scripts read with `. .local/env`.
SETTINGS = LOCAL / "env"


def saved_settings() -> dict[str, str]:
    """Returns the settings of the local run, or none if it never ran."""
    lines = SETTINGS.read_text().splitlines() if SETTINGS.exists() else []
    settings = (line.removeprefix("export ").partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in settings}


def write_settings(settings: dict[str, str]) -> None:
    """Writes the settings for scripts to a file that only its owner can read."""
    new = SETTINGS.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        # Keys must not reach a proxy.
        exported = settings | {name: os.environ[name] for name in WITHOUT_PROXY}
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in exported.items())
    # Atomically: the shop and scripts may read the file at any time.
    new.replace(SETTINGS)


@functools.cache
def follows_local_run() -> bool:
    """Returns whether the local run is followed: without a URL, or in a shell with its settings."""
    own = {name: os.environ.get(name) for name in ("TENON_URL", "TENON_BACKEND_KEY")}
    return own["TENON_URL"] is None or own.items() <= saved_settings().items()


def settings() -> tuple[str, str]:
    """Returns the API's URL and the back-end key, of the environment or of the local run."""
    found = os.environ | (saved_settings() if follows_local_run() else {})
    try:
        return found["TENON_URL"].rstrip("/"), found["TENON_BACKEND_KEY"]
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set. Start `make run`, or set TENON_URL and TENON_BACKEND_KEY.")


def local_settings() -> tuple[str, str]:
    """Returns the API's URL and the back-end key of the local run, whatever the environment has."""
    saved = saved_settings()
    return saved["TENON_URL"], saved["TENON_BACKEND_KEY"]
