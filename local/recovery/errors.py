"""Rules of the errors table."""

from typing import Any, ClassVar

from recovery.rules import MISSING, UNDECIDED, Rules, State, Verdict, skipped
from recovery.table import Item, Key, environment, key_of, text, unchanged

# Types of the records, which are the items that the stream delivers when they are inserted, and
# their types between the two writes of a copy, which its filter excludes. `records.rs` reads both.
RECORDS = {"error": "restoringError", "event": "restoringEvent"}
RESTORING = {restoring: kind for kind, restoring in RECORDS.items()}


class ErrorsRules(Rules):
    """Rules of the errors table."""

    never: ClassVar = {"pendingDelivery": "replays deliver again"}

    def copied(self, item: Item) -> Item:
        match text(item, "type"):
            case "delivery" if text(item, "status") == "pending":
                # Its pending item is not copied. A replay can select cancelled deliveries.
                return {**item, "status": {"S": "cancelled"}, "nextAttemptAt": {"NULL": True}}
            case "delivered":
                kept = {sk for (_, sk), verdict in self.records(item).items() if verdict is MISSING}
                attempts = {record: attempt for record, attempt in item["attempts"]["M"].items() if record in kept}
                return {**item, "attempts": {"M": attempts}}
        return item

    def verdict(self, item: Item) -> Verdict:
        found = self.live.get(key_of(item))
        if found and text(found, "type") in RESTORING:
            return MISSING
        return super().verdict(complete(item))

    def order(self, item: Item) -> Any:
        # An engine can record an error again.
        return text(item, "updatedAt")

    def content(self, item: Item) -> Item | None:
        return item if text(item, "type") == "error" else None

    def missing(self, item: Item) -> Verdict | None:
        match text(item, "type"):
            case "event" if text(item, "eventType") == "user.deleted":
                # Erasures keep the receipt.
                return MISSING
            case "error" | "event":
                erased = text(self.directory.get(erasure(item)) or {}, "startedAt")
                return skipped("erased") if erased >= recorded_at(item) else UNDECIDED
            case "delivery" | "delivered":
                # A delivery is copied with its records, or with some of them.
                order = (State.MISSING, State.UNDECIDED, State.SKIPPED)
                verdicts = self.records(item).values()
                # One of which only the item is left, without attempts, has none.
                return min(verdicts, key=lambda verdict: order.index(verdict.state), default=skipped("no record"))
        return None

    def dependencies(self, item: Item) -> list[Key]:
        return [] if text(item, "type") in RECORDS else self.keys_of_records(self.copied(item))

    def writes(self, item: Item, found: Item | None) -> list[Item]:
        kind = text(item, "type")
        if kind not in RECORDS:
            return [self.live.put(self.copied(item))]
        restoring = {"S": RECORDS[kind]}
        if found and text(found, "type") in RESTORING:
            return [self.live.put(item, "#type = :restoring", restoring=restoring)]
        if found:
            return [self.live.put(item, **unchanged(found, "updatedAt"))]
        put = self.live.put({**item, "type": restoring})
        if text(item, "eventType") == "user.deleted":
            return [put]
        # An erasure deletes records without a trace of their own, also while this one is copied.
        not_erased = "attribute_not_exists(pk) OR startedAt < :at"
        return [put, self.directory.check(erasure(item), not_erased, at={"S": recorded_at(item)})]

    def copy(self, item: Item) -> int:
        item = complete(item)
        written = super().copy(item)
        if written and text(item, "type") in RECORDS:
            # The second write, which is a modification. It counts as the same item.
            super().copy(item)
        return min(written, 1) if text(item, "type") in RECORDS else written

    def records(self, delivery: Item) -> dict[Key, Verdict]:
        """Returns the verdicts on the records of a delivery."""
        keys = self.keys_of_records(delivery)
        self.live.load(keys)
        self.restored.load(keys)
        return {key: self.follow(key, "record") for key in keys}

    def keys_of_records(self, delivery: Item) -> list[Key]:
        """Returns the keys of the records of a delivery."""
        pk, sk = key_of(delivery)
        if text(delivery, "type") == "delivered":
            return [(pk.removesuffix("#deliveries"), record) for record in delivery["attempts"]["M"]]
        record, _, owner = sk.partition("#")
        partition = f"{owner}#events" if owner.startswith("user#") else f"workflow#{owner}"
        return [(f"{environment(delivery)}#{partition}", record)]


def complete(item: Item) -> Item:
    """Returns an item that was backed up between the two writes of a copy as it was to become."""
    kind = RESTORING.get(text(item, "type"))
    return {**item, "type": {"S": kind}} if kind else item


def erasure(record: Item) -> Key:
    """Returns the key of the erasure of the errors and events of a record's user."""
    return f"{environment(record)}#erasures", f"erasure#{text(record, 'userId')}"


def recorded_at(record: Item) -> str:
    """Returns the time at which a record was stored."""
    return text(record, "updatedAt") if text(record, "type") == "error" else text(record, "createdAt")
