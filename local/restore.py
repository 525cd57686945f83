"""Copies lost items from a restored table into the table of a stack (`make restore`).

DynamoDB's point-in-time recovery restores into a new table. This command compares each item of that
table with its counterpart in the stack, and with `APPLY=1` copies those that are missing or older.

* Items that were deleted on purpose stay deleted, as far as the stack shows that: revoked API keys,
  open deletions, ids of deleted destinations, tombstones and erasures. An item that is missing
  without such evidence, and without evidence of an accident, is copied with `DELETED=restore` only.
* Every write has a condition, so that a concurrent change is never overwritten. The command can be
  interrupted and repeated.
* Restored errors and events are not delivered: they are inserted with a type that the filter of the
  stream excludes, and then get their own.

The rules are in `recovery`. The credentials and `AWS_ENDPOINT_URL` in the environment select a real
or the local AWS.
"""

import os
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from recovery.directory import COUNTS, DirectoryRules, count_again
from recovery.errors import ErrorsRules
from recovery.rules import ConcurrentChangeError, Rules, State, Verdict
from recovery.table import SEGMENTS, Item, Table, key_of, text

# Maximum number of keys of undecided items that are printed. If there are more, all are in a file.
MAX_LISTED = 20
# Seconds between two lines of progress.
PROGRESS_INTERVAL = 5


@dataclass
class Report:
    """Counts of a run."""

    kinds: dict[str, Counter[State]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Type and key of each.
    undecided: list[tuple[str, str, str]] = field(default_factory=list)
    read: int = 0
    written: int = 0
    changed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, item: Item, verdict: Verdict, written: int) -> None:
        """Counts an item."""
        kind = text(item, "type") or "without a type"
        with self.lock:
            self.read += 1
            self.written += written
            self.kinds[kind][verdict.state] += 1
            if verdict.reason:
                self.reasons[kind, verdict.reason] += 1
            if verdict.state is State.UNDECIDED:
                self.undecided.append((kind, *key_of(item)))

    def total(self, *states: State) -> int:
        """Returns the number of items in these states."""
        return sum(counts[state] for counts in self.kinds.values() for state in states)

    def show(self) -> None:
        """Prints the counts of each type, and the reasons why items are skipped."""
        columns = {state: [state] for state in State if state is not State.UNKNOWN}
        columns[State.SKIPPED].append(State.UNKNOWN)
        print("  " + "type".ljust(20) + "".join(state.rjust(11) for state in columns))
        for kind, counts in sorted(self.kinds.items()):
            numbers = (sum(counts[state] for state in states) for states in columns.values())
            print("  " + kind.ljust(20) + "".join(str(number or "-").rjust(11) for number in numbers))
        for (kind, reason), number in sorted(self.reasons.items()):
            print(f"  skipped: {number} {kind} ({reason})")


@dataclass
class Restore:
    """A run of the command."""

    dynamodb: Any
    rules: type[Rules]
    restored: str
    live: str
    directory: str
    apply: bool
    restore_deleted: bool
    report: Report = field(default_factory=Report)
    stopped: threading.Event = field(default_factory=threading.Event)
    # Items that are counted again at the end.
    counts: list[Item] = field(default_factory=list)

    def run(self) -> None:
        """Compares all items, and copies them."""
        with ThreadPoolExecutor(SEGMENTS) as pool:
            running = {pool.submit(self.segment, segment) for segment in range(SEGMENTS)}
            try:
                while running:
                    done, running = wait(running, PROGRESS_INTERVAL, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    if running:
                        print(f"  {self.report.read} items read, {self.report.written} copied", flush=True)
            finally:
                self.stopped.set()
        if self.apply:
            for count in self.counts:
                try:
                    count_again(Table(self.dynamodb, self.live), count)
                except ConcurrentChangeError:
                    self.report.changed += 1

    def segment(self, segment: int) -> None:
        """Compares the items of a segment, and copies them."""
        tables = (Table(self.dynamodb, name) for name in (self.restored, self.live, self.directory))
        rules = self.rules(*tables, self.restore_deleted)
        for items in Table(self.dynamodb, self.restored).scan(segment):
            rules.load(items)
            for item in items:
                if self.stopped.is_set():
                    return
                verdict, written = rules.verdict(item), 0
                if self.apply and verdict.is_copied:
                    try:
                        written = rules.copy(item)
                    except ConcurrentChangeError:
                        with self.report.lock:
                            self.report.changed += 1
                if text(item, "type") in COUNTS:
                    self.counts.append(item)
                self.report.add(item, verdict, written)


def main() -> None:
    """Compares the tables. Exits with 1 if something failed or must be decided."""
    stack, restored, source, table, apply, deleted = (
        os.environ.get(name, "") for name in ("STACK", "FROM", "SOURCE", "TABLE", "APPLY", "DELETED")
    )
    if not restored or table not in ("directory", "errors") or deleted not in ("", "restore", "keep"):
        sys.exit(
            "usage: make restore FROM=<restored table> TABLE=directory|errors [APPLY=1] [DELETED=restore|keep] [STACK=tenon]"
            " [SOURCE=<former name of the table>]"
        )
    try:
        run(stack, (restored, source), table, apply == "1", deleted)
    except (BotoCoreError, ClientError) as error:
        sys.exit(
            f"AWS rejected a call or cannot be reached: {error}\n"
            "Nothing is lost. Fix the cause and run the same command again: it continues where it stopped."
        )
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run the same command again to continue.")


def run(stack: str, origin: tuple[str, str], table: str, apply: bool, deleted: str) -> None:
    """Compares the tables, and prints the result.

    `origin` has the restored table, and the former name of the present one if it was replaced.
    """
    restored, former = origin
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    config = Config(retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=2 * SEGMENTS)
    dynamodb = session.client("dynamodb", config=config)
    [described] = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    directory, errors = outputs.get("DirectoryTable"), outputs.get("ErrorsTable")
    if not (directory and errors):
        sys.exit(f"The stack {stack} is not a stack of Tenon: it has no outputs DirectoryTable and ErrorsTable.")
    live = directory if table == "directory" else errors
    if restored in (directory, errors):
        sys.exit(f"{restored} is a table of the stack {stack}. FROM must be the restored table.")
    description = dynamodb.describe_table(TableName=restored)["Table"]
    # Unknown to a table that was filled in another way.
    source = description.get("RestoreSummary", {}).get("SourceTableArn", "")
    if source and not source.endswith(f":table/{former or live}"):
        sys.exit(
            f"{restored} was restored from {source}, which is not the {table} table of the stack {stack}."
            " If that table has replaced it, pass SOURCE=<name of the former table>."
        )
    status = description["TableStatus"]
    if status != "ACTIVE":
        sys.exit(f"{restored} has the status {status}. Wait until it is ACTIVE.")

    print(f"{'Copying' if apply else 'Comparing'} {restored} → {live}", flush=True)
    rules = DirectoryRules if table == "directory" else ErrorsRules
    restore = Restore(dynamodb, rules, restored, live, directory, apply, deleted == "restore")
    restore.run()
    report = restore.report
    report.show()
    undecided, unknown = report.total(State.UNDECIDED), report.total(State.UNKNOWN)
    if apply:
        print(f"Copied {report.written} items.")
    else:
        print(f"{report.total(State.MISSING, State.OLDER)} items would be copied: APPLY=1 copies them.")
    if undecided:
        print(f"{undecided} items may have been deleted on purpose:")
        # API keys first: those that were revoked since would be valid again.
        listed = sorted(report.undecided, key=lambda found: (found[0] != "apiKeyRecord", *found))
        for kind, pk, sk in listed[:MAX_LISTED]:
            print(f"  {kind} {pk} {sk}")
        if undecided > MAX_LISTED:
            with tempfile.NamedTemporaryFile("w", prefix="tenon-undecided-", suffix=".txt", delete=False) as file:
                file.writelines(f"{kind} {pk} {sk}\n" for kind, pk, sk in listed)
            print(f"  and {undecided - MAX_LISTED} others: all are in {file.name}")
        if deleted != "keep":
            print("Decide: DELETED=restore copies them, DELETED=keep leaves them deleted.")
    if unknown:
        print(f"{unknown} items are not understood. See the reasons above.")
    if report.changed:
        print(f"{report.changed} items changed meanwhile. Repeat the command.")
    sys.exit(1 if (undecided and deleted != "keep") or unknown or report.changed else 0)


if __name__ == "__main__":
    main()
