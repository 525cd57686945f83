"""Follows the errors and events of an environment in the terminal (`make tail`).

TENON_URL and TENON_BACKEND_KEY select a deployed Tenon; the default is the local run. Each error
and each event is printed once, sorted by time, if it is listed within two minutes of its time.
Errors that an engine records later are available from `GET /logs`.
"""

import contextlib
import http.client
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from settings import follows_local_run, settings
from tenon import Api, check_url
from terminal import BOLD, DIM, PLAIN

Json = dict[str, Any]

# Number of earlier errors and of earlier events that are printed at the start.
INITIAL_RECORDS = 10
# Overlap of consecutive requests: clocks differ, and errors are listed by their own time. Reading
# two minutes again each second would cost more than the errors themselves, so that it is done once
# in a while.
OVERLAP, LONG_OVERLAP = timedelta(seconds=10), timedelta(minutes=2)
LONG_EVERY = 30
PAUSE_SECONDS = 1
# Statuses after which the request is repeated.
TRANSIENT_STATUSES = {429, 500, 502, 503, 504}


@dataclass
class Feed:
    """A list of the API that is followed."""

    api: Api
    path: str
    # Member of the response that contains the records.
    member: str
    line: Callable[[Json], str]
    # Time until which the list was read completely.
    read_until: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Times of the records that were returned, by their keys.
    known: dict[str, datetime] = field(default_factory=dict)
    # Whether the records of before the start were returned.
    has_started: bool = False
    # Number of calls of `new`.
    reads: int = 0

    def earlier(self) -> list[Json]:
        """Returns the newest earlier records, and all that the next call reads again."""
        newest, has_newest = self.fetch({"limit": INITIAL_RECORDS}, pages=1)
        since = self.read_until - LONG_OVERLAP
        recent, has_recent = self.fetch({"since": since.isoformat(), "limit": 100})
        self.has_started = has_newest and has_recent
        return self.unknown(newest + recent)

    def read(self) -> list[Json]:
        """Returns the newest records at first, and then those that are new."""
        return self.new() if self.has_started else self.earlier()

    def new(self) -> list[Json]:
        """Returns the records that were not returned before.

        After a failure, the next call reads what this one could not.
        """
        overlap = OVERLAP if self.reads % LONG_EVERY else LONG_OVERLAP
        self.reads += 1
        now, since = datetime.now(UTC), self.read_until - overlap
        records, complete = self.fetch({"since": since.isoformat(), "sortOrder": "asc", "limit": 100})
        if complete:
            self.read_until = now
        self.known = {key: at for key, at in self.known.items() if at > since - LONG_OVERLAP}
        return self.unknown(records)

    def fetch(self, query: Json, pages: int | None = None) -> tuple[list[Json], bool]:
        """Returns the records that match a query, and whether the API returned all of them."""
        records: list[Json] = []
        cursor: dict[str, str] = {}
        while pages is None or pages > 0:
            pages = pages and pages - 1
            try:
                response = self.api.call("GET", f"{self.path}?{urlencode(query | cursor)}")
            except ValueError:
                report(f"The response is not JSON: is {self.api.url} the URL of the API? Trying again …")
                return records, False
            # A response that is cut off or not valid HTTP raises no OSError.
            except (OSError, http.client.HTTPException) as error:
                hint = ": is `make run` running?" if follows_local_run() else "."
                report(f"The API is unavailable ({error}){hint} Trying again …")
                return records, False
            if response.status in TRANSIENT_STATUSES:
                report(f"The API returned {response.status}. Trying again …")
                return records, False
            if response.status != 200:
                detail = response.body.get("detail") or response.body.get("message")
                problem = f"The API returned {response.status}: {detail}"
                if not follows_local_run():
                    sys.exit(problem)
                # While `make run` deploys another build, the settings are those of the former one.
                report(f"{problem}. Trying again …")
                return records, False
            report("")
            records += response.body[self.member]
            if "cursor" not in response.body:
                break
            cursor = {"cursor": response.body["cursor"]}
        return records, True

    def unknown(self, records: list[Json]) -> list[Json]:
        """Returns the records that were not returned before, and remembers them."""
        found = {f"{record['workflowId']}/{record['_id']}": record for record in records}
        found = {key: record for key, record in found.items() if key not in self.known}
        self.known |= {key: created_at(record) for key, record in found.items()}
        return list(found.values())


def main() -> None:
    """Follows the errors and events until Ctrl-C."""
    present = None
    while True:
        # `make demo` creates another environment. After another start, the port may be another one.
        if present != (present := settings()):
            url, key = present
            check_url(url)
            api = Api(url, key)
            feeds = [Feed(api, "/logs", "errors", error_line), Feed(api, "/events", "data", event_line)]
        show(feeds)
        time.sleep(PAUSE_SECONDS)


reported = ""


def report(problem: str) -> None:
    """Prints why nothing is read, once until it changes."""
    global reported  # noqa: PLW0603
    if problem and problem != reported:
        print(f"{DIM}{problem}{PLAIN}", file=sys.stderr, flush=True)
    reported = problem


def show(feeds: list[Feed]) -> None:
    """Prints what is read from the feeds, in the order of the times."""
    found = [(created_at(record), feed.line(record)) for feed in feeds for record in feed.read()]
    for _, line in sorted(found, key=itemgetter(0)):
        print(line, flush=True)


def created_at(record: Json) -> datetime:
    """Returns the time of a record."""
    return datetime.fromisoformat(record["createdAt"])


def error_line(error: Json) -> str:
    """Returns the line of an error: its time, workflow, block type and text."""
    return line(error, "workflowId", error["blockType"], error["error"])


def event_line(event: Json) -> str:
    """Returns the line of an event: its time, user, type, workflow, integration and actor."""
    subject = [f"{name} {event[f'{name}Id']}" for name in ("workflow", "integration") if event[f"{name}Id"]]
    actor = [f"{kind.removesuffix('Id')} {id_}" for kind, id_ in (event["actor"] or {}).items()]
    return line(event, "userId", event["type"], " ".join([*subject, "by", *(actor or ["unknown"])]))


def line(record: Json, owner: str, title: str, content: str) -> str:
    """Returns a line that begins with the time and the owner of a record."""
    content = " ".join(printable(content).split())
    return f"{DIM}{record['createdAt']} {record[owner]}{PLAIN} {BOLD}{printable(title)}{PLAIN} {content[:500]}"


def printable(text: str) -> str:
    """Returns the text without characters that control a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
