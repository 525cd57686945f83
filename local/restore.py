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
import shutil
import sys
import tempfile
import threading
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from recovery.directory import COUNTS, DirectoryRules, count_again
from recovery.errors import ErrorsRules
from recovery.rules import ConcurrentChangeError, Rules, State, StoppedError, Verdict
from recovery.table import SEGMENTS, Item, Table, key_of, text

# Maximum number of keys that are printed of each state. If there are more, all are in a file.
MAX_LISTED = 20
# Seconds between two lines of progress.
PROGRESS_INTERVAL = 5
# What the keys of items in a state are listed as.
HEADINGS = {
    State.UNDECIDED: "items may have been deleted on purpose",
    State.CONFLICT: "items have a name that something else in the stack has",
    State.DAMAGED: "items have the version of the restored ones, with other content",
    State.UNKNOWN: "items are not understood, for the reasons above",
}


class Listing:
    """Items to which somebody must attend. Their keys are kept in a file: there can be millions."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.first: dict[str, list[str]] = defaultdict(list)
        self.file: IO[str] | None = None

    def add(self, heading: str, item: Item) -> None:
        """Adds an item."""
        kind, line = kind_of(item), " ".join((kind_of(item), *key_of(item)))
        if self.file is None:
            self.file = tempfile.NamedTemporaryFile("w")  # noqa: SIM115 (closed by `show`)
        self.file.write(f"{heading}: {line}\n")
        self.numbers[heading] += 1
        listed = self.first[heading]
        # API keys first, and all of them: those that were revoked since would be valid again.
        if kind == "apiKeyRecord":
            listed.insert(0, line)
        elif len(listed) < MAX_LISTED:
            listed.append(line)

    def show(self) -> None:
        """Prints the first keys of each heading, and where all are if there are more."""
        omitted = 0
        for heading, number in self.numbers.items():
            print(f"{number} {heading}:", *self.first[heading], sep="\n  ")
            if others := number - len(self.first[heading]):
                print(f"  and {others} others")
                omitted += others
        if self.file:
            self.file.flush()
            if omitted:
                with tempfile.NamedTemporaryFile(prefix="tenon-restore-", suffix=".txt", delete=False) as kept:
                    shutil.copyfile(self.file.name, kept.name)
                print(f"All keys are in {kept.name}.")
            self.file.close()


def kind_of(item: Item) -> str:
    """Returns the type of an item."""
    return str(text(item, "type")) or "without a type"


@dataclass
class Report:
    """Counts of a run."""

    kinds: dict[str, Counter[State]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    listing: Listing = field(default_factory=Listing)
    read: int = 0
    written: int = 0
    changed: int = 0
    released: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, item: Item, verdict: Verdict, written: int) -> None:
        """Counts an item."""
        with self.lock:
            self.read += 1
            self.written += written
            self.kinds[kind_of(item)][verdict.state] += 1
            if verdict.reason:
                self.reasons[kind_of(item), verdict.reason] += 1
            if verdict.state in HEADINGS:
                self.listing.add(HEADINGS[verdict.state], item)

    def add_changed(self, item: Item) -> None:
        """Counts an item that others changed in each attempt to copy it."""
        with self.lock:
            self.changed += 1
            self.listing.add("items changed meanwhile", item)

    def total(self, *states: State) -> int:
        """Returns the number of items in these states."""
        return sum(counts[state] for counts in self.kinds.values() for state in states)

    def show(self) -> None:
        """Prints the counts of each type, and the reasons why items are skipped."""
        others = (State.CONFLICT, State.UNKNOWN)
        columns: dict[State, list[State]] = {state: [state] for state in State if state not in others}
        columns[State.SKIPPED] += others
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
        self.in_segments(self.segment)
        if self.apply:
            self.in_segments(self.release)
            for count in self.counts:
                try:
                    count_again(Table(self.dynamodb, self.live), count)
                except ConcurrentChangeError:
                    self.report.add_changed(count)

    def in_segments(self, work: Callable[[int], None]) -> None:
        """Works on all segments concurrently, and shows the progress."""
        with ThreadPoolExecutor(SEGMENTS) as pool:
            running = {pool.submit(work, segment) for segment in range(SEGMENTS)}
            try:
                while running:
                    done, running = wait(running, PROGRESS_INTERVAL, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    if running:
                        print(f"  {self.report.read} items read, {self.report.written} copied", flush=True)
            except BaseException:
                self.stopped.set()
                raise

    def new_rules(self) -> Rules:
        """Returns the rules for one thread."""
        restored, live, directory = (Table(self.dynamodb, name) for name in (self.restored, self.live, self.directory))
        return self.rules(restored, live, directory, self.restore_deleted, self.stopped)

    def release(self, segment: int) -> None:
        """Releases names in a segment of the stack's table."""
        released = self.new_rules().release(segment)
        with self.report.lock:
            self.report.released += released

    def segment(self, segment: int) -> None:
        """Compares the items of a segment, and copies them."""
        rules = self.new_rules()
        for items in Table(self.dynamodb, self.restored).scan(segment):
            rules.load(items)
            for item in items:
                if self.stopped.is_set():
                    return
                try:
                    self.item(rules, item)
                except StoppedError:
                    return

    def item(self, rules: Rules, item: Item) -> None:
        """Compares an item, and copies it."""
        written = 0
        try:
            verdict = rules.verdict(item)
            if self.apply and verdict.is_copied:
                written = rules.copy(item)
        except ConcurrentChangeError:
            self.report.add_changed(item)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # An accident that damages items must not keep the others from being restored.
            cause = f"{type(error).__name__} in {traceback.extract_tb(error.__traceback__)[-1].name}"
            verdict = Verdict(State.UNKNOWN, f"it or an item that belongs to it is damaged: {cause}")
        if kind_of(item) in COUNTS:
            self.counts.append(item)
        self.report.add(item, verdict, written)


def main() -> None:
    """Compares the tables. Exits with 1 if something failed or must be decided."""
    stack, restored, source, table, apply, deleted = (
        os.environ.get(name, "") for name in ("STACK", "FROM", "SOURCE", "TABLE", "APPLY", "DELETED")
    )
    is_valid = table in ("directory", "errors") and apply in ("", "1") and deleted in ("", "restore", "keep")
    if not restored or not is_valid:
        sys.exit(
            "usage: make restore FROM=<restored table> TABLE=directory|errors [APPLY=1] [DELETED=restore|keep] [STACK=tenon]"
            " [SOURCE=<former name of the table>]"
        )
    try:
        run(stack, (restored, source), table, apply == "1", deleted)
    except (BotoCoreError, ClientError) as error:
        sys.exit(
            f"AWS rejected a call or cannot be reached: {error}\n"
            "Nothing is lost. Fix the cause, such as a wrong name, and run the command again: it continues where it stopped."
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
    undecided, conflicts = (
        0 if deleted == "keep" else report.total(state) for state in (State.UNDECIDED, State.CONFLICT)
    )
    wrong = conflicts + report.total(State.UNKNOWN, State.DAMAGED) + report.changed
    if apply:
        print(f"Copied {report.written} items.")
        if report.released:
            print(f"Released {report.released} names that restored users no longer have.")
    else:
        print(f"{report.total(State.MISSING, State.OLDER)} items would be copied: APPLY=1 copies them.")
    report.listing.show()
    if undecided:
        print(
            "Decide about those that may have been deleted: DELETED=restore copies them, DELETED=keep leaves them deleted."
        )
    if wrong:
        print(
            "docs/operations.md (Restore) says what to do about items that are damaged, changed or not understood,"
            " or whose name something else has."
        )
    sys.exit(1 if undecided or wrong else 0)


if __name__ == "__main__":
    main()
