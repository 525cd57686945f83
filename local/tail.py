"""Follows the errors of an environment in the terminal (`make tail`).

TENON_URL and TENON_BACKEND_KEY select a deployed Tenon; the default is the local run. Each error is
printed once, if its time is within the last two minutes. Errors that an engine records later are
available from `GET /logs`.
"""

import contextlib
import os
import shlex
import sys
import time
import urllib.error
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from demo import BOLD, DIM, PLAIN
from stack import LOCAL
from tenon import Api

# Number of earlier errors that are printed at the start.
INITIAL_ERRORS = 10
# Overlap of consecutive requests: clocks differ, and errors are listed by their own time.
OVERLAP = timedelta(minutes=2)
PAUSE_SECONDS = 1
# Statuses after which the request is repeated.
TRANSIENT_STATUSES = {429, 500, 502, 503, 504}


def main() -> None:
    """Follows the errors until Ctrl-C."""
    api = Api(*settings())
    shown: dict[str, datetime] = {}
    for error in reversed(fetch(api, {"limit": INITIAL_ERRORS}, pages=1)):
        show(error, shown)
    while True:
        since = datetime.now(UTC) - OVERLAP
        for error in fetch(api, {"since": since.isoformat(), "sortOrder": "asc", "limit": 100}):
            show(error, shown)
        shown = {key: at for key, at in shown.items() if at > since - OVERLAP}
        time.sleep(PAUSE_SECONDS)


def settings() -> tuple[str, str]:
    """Returns the API's URL and the back-end key."""
    found = dict(os.environ)
    file = LOCAL / "env"
    if "TENON_URL" not in found and file.exists():
        for line in file.read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = "".join(shlex.split(value))
    try:
        return found["TENON_URL"].rstrip("/"), found["TENON_BACKEND_KEY"]
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set. Start `make run`, or set TENON_URL and TENON_BACKEND_KEY.")


def fetch(api: Api, query: dict[str, Any], pages: int | None = None) -> list[dict[str, Any]]:
    """Returns the errors that match a query. The list ends early if the API is unavailable."""
    errors: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while pages is None or pages > 0:
        pages = pages and pages - 1
        try:
            response = api.call("GET", "/logs?" + urlencode(query | cursor))
        except (urllib.error.URLError, OSError, ValueError) as error:
            print(f"{DIM}the API is unavailable ({error}), retrying{PLAIN}", file=sys.stderr, flush=True)
            break
        if response.status in TRANSIENT_STATUSES:
            break
        if response.status != 200:
            detail = response.body.get("detail") or response.body.get("message")
            sys.exit(f"The API returned {response.status}: {detail}")
        errors += response.body["errors"]
        if "cursor" not in response.body:
            break
        cursor = {"cursor": response.body["cursor"]}
    return errors


def show(error: dict[str, Any], shown: dict[str, datetime]) -> None:
    """Prints an error that was not printed before."""
    key = f"{error['workflowId']}/{error['_id']}"
    if key in shown:
        return
    shown[key] = datetime.fromisoformat(error["createdAt"])
    line = " ".join(printable(error["error"]).split())
    print(
        f"{DIM}{error['createdAt']} {error['workflowId']}{PLAIN} {BOLD}{printable(error['blockType'])}{PLAIN} {line[:500]}",
        flush=True,
    )


def printable(text: str) -> str:
    """Returns the text without characters that control a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
