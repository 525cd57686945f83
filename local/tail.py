"""`make tail`: follows the errors of an environment in the terminal, of the local run or of a deployed Tenon.

Where TENON_URL and TENON_BACKEND_KEY are not set, those of the local run are taken. An error is shown once, when its time lies
in the last two minutes: what an engine records later than that is in `GET /logs` all the same."""

import os
import shlex
import sys
import time
import urllib.error
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

from demo import BOLD, DIM, PLAIN
from stack import LOCAL
from tenon import Api

# So many errors are shown at the beginning.
BEFORE = 10
# How far each look reaches back: clocks differ, and errors are listed by when they happened.
OVERLAP = timedelta(minutes=2)
PAUSE_SECONDS = 1
# What passes by itself.
PASSING = {429, 500, 502, 503, 504}


def main() -> None:
    """Follows until Ctrl-C."""
    api = Api(*settings())
    shown: dict[str, datetime] = {}
    for error in reversed(look(api, {"limit": BEFORE}, pages=1)):
        show(error, shown)
    while True:
        since = datetime.now(timezone.utc) - OVERLAP
        for error in look(api, {"since": since.isoformat(), "sortOrder": "asc", "limit": 100}):
            show(error, shown)
        shown = {key: at for key, at in shown.items() if at > since - OVERLAP}
        time.sleep(PAUSE_SECONDS)


def settings() -> tuple[str, str]:
    """The API's URL and a back end's key."""
    found = dict(os.environ)
    file = LOCAL / "env"
    if "TENON_URL" not in found and file.exists():
        for line in file.read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = "".join(shlex.split(value))
    try:
        return found["TENON_URL"].rstrip("/"), found["TENON_BACKEND_KEY"]
    except KeyError as missing:
        sys.exit(f"{missing.args[0]} is not set: `make run` first, or set TENON_URL and TENON_BACKEND_KEY")


def look(api: Api, query: dict, pages: int | None = None) -> list[dict]:
    """The errors that a query finds, page by page. None where the API cannot be asked for now."""
    errors: list[dict] = []
    cursor: dict = {}
    while pages is None or pages > 0:
        pages = pages and pages - 1
        try:
            answer = api.call("GET", "/logs?" + urlencode(query | cursor))
        except (urllib.error.URLError, OSError, ValueError) as error:
            print(f"{DIM}the API cannot be reached ({error}), trying again{PLAIN}", file=sys.stderr, flush=True)
            break
        if answer.status in PASSING:
            break
        if answer.status != 200:
            sys.exit(f"the API refuses: {answer.status} {answer.body.get('detail') or answer.body.get('message')}")
        errors += answer.body["errors"]
        if "cursor" not in answer.body:
            break
        cursor = {"cursor": answer.body["cursor"]}
    return errors


def show(error: dict, shown: dict[str, datetime]) -> None:
    """Prints an error that was not shown yet."""
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
    """The text without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else " " for character in text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
