"""What the rules of both tables share: verdicts on restored items, and how items are copied."""

import random
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from recovery.table import Item, Key, Table, key_of, text

# Maximum number of attempts to copy an item that others change meanwhile.
MAX_ATTEMPTS = 8
# Reasons of a transaction that exceeds the throughput of a partition or meets another one, and the
# longest pauses before it is repeated, in seconds.
BUSY = {"ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"}
PAUSES = (0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 20, 20, 20, 20, 20, 20)


class State(StrEnum):
    """Relation of a restored item to the stack."""

    MISSING = "missing"
    OLDER = "older"
    UNDECIDED = "undecided"
    EQUAL = "equal"
    NEWER = "newer"
    SKIPPED = "skipped"
    # Not copied, because something else has its name.
    CONFLICT = "conflict"
    # Not copied, and somebody must find out why.
    UNKNOWN = "unknown"
    # Of the same version, with other content: Tenon has not changed it.
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Verdict:
    """Relation of a restored item to the stack, and the reason if it is not copied."""

    state: State
    reason: str = ""

    @property
    def is_copied(self) -> bool:
        """Whether the item is copied into the stack."""
        return self.state in (State.MISSING, State.OLDER)


MISSING = Verdict(State.MISSING)
UNDECIDED = Verdict(State.UNDECIDED)


def skipped(reason: str) -> Verdict:
    """Returns the verdict on an item that is not copied."""
    return Verdict(State.SKIPPED, reason)


class Rules:
    """Rules of a table. `verdict` decides on an item, `copy` writes it."""

    # Types that are never copied, with the reason.
    never: ClassVar[dict[str, str]]

    def __init__(
        self, restored: Table, live: Table, directory: Table, restore_deleted: bool, stopped: threading.Event
    ) -> None:
        self.restored, self.live, self.directory = restored, live, directory
        self.restore_deleted, self.stopped = restore_deleted, stopped

    def missing(self, item: Item) -> Verdict | None:
        """Returns the verdict on an item that is missing in the stack, or None for an unknown
        type.
        """
        raise NotImplementedError

    def dependencies(self, item: Item) -> list[Key]:
        """Returns the keys of the items without which an item is not written."""
        raise NotImplementedError

    def writes(self, item: Item, found: Item | None) -> list[Item]:
        """Returns the transaction that copies an item over the one that was found."""
        raise NotImplementedError

    def copied(self, item: Item) -> Item:
        """Returns an item as it is written to the stack."""
        return item

    def order(self, _item: Item) -> Any:
        """Returns a value that increases with each change of an item."""
        return 0

    def content(self, _item: Item) -> Item | None:
        """Returns what is the same in all items of an order, or None if that is unknown."""
        return None

    def release(self, _segment: int) -> int:
        """Releases names that no item has after a restore, in a segment of the stack's table.
        Returns their number.
        """
        return 0

    def conflict(self, _item: Item) -> Verdict | None:
        """Returns a verdict if something else in the stack has a name of an item."""
        return None

    def load(self, items: list[Item]) -> None:
        """Reads the counterparts of items."""
        for table in (self.restored, self.live, self.directory):
            table.forget()
        self.live.load(map(key_of, items))

    def verdict(self, item: Item) -> Verdict:
        """Decides whether an item is copied."""
        kind = text(item, "type")
        if kind in self.never:
            return skipped(self.never[kind])
        if item.get("expiresAt") and int(text(item, "expiresAt")) <= time.time():
            return skipped("expired")
        found = self.live.get(key_of(item))
        if found is None:
            verdict = self.missing(item) or Verdict(State.UNKNOWN, "unknown type")
            is_wanted = verdict.is_copied or verdict is UNDECIDED
            verdict = MISSING if verdict is UNDECIDED and self.restore_deleted else verdict
            return (is_wanted and self.conflict(item)) or verdict
        if found == item or found == self.copied(item):
            return Verdict(State.EQUAL)
        restored, present = self.order(item), self.order(found)
        if restored == present and self.content(item) != self.content(found):
            return Verdict(State.DAMAGED)
        if restored > present:
            return self.conflict(item) or Verdict(State.OLDER)
        return Verdict(State.NEWER)

    def follow(self, key: Key, name: str) -> Verdict:
        """Returns the verdict on an item to which another one belongs: missing if it exists."""
        if self.live.get(key) is not None:
            return MISSING
        restored = self.restored.get(key)
        if restored is None:
            return skipped(f"its {name} does not exist")
        verdict = self.verdict(restored)
        return verdict if verdict.is_copied or verdict is UNDECIDED else skipped(f"its {name} is not restored")

    def copy(self, item: Item) -> int:
        """Copies an item and those without which it is not written. Returns the number of items
        that were written.
        """
        written = 0
        for attempt in range(MAX_ATTEMPTS):
            self.live.forget()
            self.directory.forget()
            if not self.verdict(item).is_copied:
                return written
            needed = [key for key in self.dependencies(item) if self.live.get(key) is None]
            if needed:
                written += sum(self.copy(other) for key in needed if (other := self.restored.get(key)))
                continue
            writes = self.writes(item, self.live.get(key_of(item)))
            try:
                self.transact(writes)
            except self.live.dynamodb.exceptions.TransactionCanceledException as error:
                codes = cancellation_codes(error)
                if codes == {"TransactionConflict"}:
                    break
                if "ConditionalCheckFailed" not in codes:
                    raise
                self.pause(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 (jitter needs no secrecy)
                continue
            return written + sum("Put" in write for write in writes)
        raise ConcurrentChangeError

    def transact(self, writes: list[Item]) -> None:
        """Writes items in a transaction. Waits while the throughput of a partition is exceeded, or
        while other transactions use the same items.
        """
        for pause in (*PAUSES, None):
            try:
                self.live.dynamodb.transact_write_items(TransactItems=writes)
            except self.live.dynamodb.exceptions.TransactionCanceledException as error:
                if pause is None or not cancellation_codes(error) <= BUSY:
                    raise
                self.pause(random.uniform(0.5, 1) * pause)  # noqa: S311 (jitter needs no secrecy)
            else:
                return

    def pause(self, seconds: float) -> None:
        """Waits, unless the run is stopped."""
        if self.stopped.wait(seconds):
            raise StoppedError


def cancellation_codes(error: ClientError) -> set[str]:
    """Returns the reasons why a transaction was cancelled."""
    return {reason["Code"] for reason in error.response["CancellationReasons"]} - {"None"}


class ConcurrentChangeError(Exception):
    """An item was changed by others in each attempt to copy it."""


class StoppedError(Exception):
    """The run was stopped while an item waited to be copied."""
