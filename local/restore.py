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

The credentials and `AWS_ENDPOINT_URL` in the environment select a real or the local AWS.
"""

import os
import random
import re
import sys
import tempfile
import threading
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import boto3
import idna
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

Item = dict[str, Any]
Key = tuple[str, str]

# Number of segments of the restored table that are read concurrently.
SEGMENTS = 8
# Maximum number of keys per `BatchGetItem` (AWS limit).
MAX_KEYS = 100
# Maximum number of attempts to copy an item that others change meanwhile.
MAX_ATTEMPTS = 8
# Reasons of a transaction that exceeds the throughput of a partition, and the longest pauses before
# it is repeated, in seconds.
THROTTLED = {"ThrottlingError", "ProvisionedThroughputExceeded"}
THROTTLING_PAUSES = (2, 4, 8, 16, 20, 20, 20, 20, 20, 20)
# Maximum number of keys of undecided items that are printed. If there are more, all are in a file.
MAX_LISTED = 20
# Seconds between two lines of progress.
PROGRESS_INTERVAL = 5
# Seconds from a deletion to the expiry of its tombstone, as in `shared/src/store/tombstones.rs`.
REMEMBERED = 36 * 24 * 60 * 60
# Types of the records: the items that the stream delivers when they are inserted.
RECORDS = ("error", "event")
# Type of a record between its two writes, which the filter of the stream excludes.
RESTORING = "restoringRecord"


class State(StrEnum):
    """Relation of a restored item to the stack."""

    MISSING = "missing"
    OLDER = "older"
    UNDECIDED = "undecided"
    EQUAL = "equal"
    NEWER = "newer"
    SKIPPED = "skipped"
    # Not copied, and somebody must find out why.
    UNKNOWN = "unknown"


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


def text(item: Item, name: str) -> str:
    """Returns a string or number attribute as text, or an empty text."""
    return next(iter(item.get(name, {"S": ""}).values()))


def key_of(item: Item) -> Key:
    """Returns the primary key of an item."""
    return text(item, "pk"), text(item, "sk")


def attributes(key: Key) -> Item:
    """Returns a primary key as DynamoDB attributes."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def tombstone(key: Key) -> Key:
    """Returns the key of the tombstone of an item."""
    return f"{key[0]}#deleted", key[1]


def environment(item: Item) -> str:
    """Returns the partition prefix of the environment of an item."""
    return "#".join(text(item, "pk").split("#")[:2])


class Table:
    """Consistent reads of a table, cached until `forget`."""

    def __init__(self, dynamodb: Any, name: str) -> None:
        self.dynamodb, self.name = dynamodb, name
        self.cache: dict[Key, Item | None] = {}

    def load(self, keys: Iterable[Key]) -> None:
        """Reads items into the cache. One `BatchGetItem` per 100 keys."""
        wanted = sorted(set(keys) - self.cache.keys())
        self.cache |= dict.fromkeys(wanted)
        while wanted:
            batch, wanted = wanted[:MAX_KEYS], wanted[MAX_KEYS:]
            request = {"Keys": [attributes(key) for key in batch], "ConsistentRead": True}
            found = self.dynamodb.batch_get_item(RequestItems={self.name: request})
            self.cache |= {key_of(item): item for item in found["Responses"][self.name]}
            unprocessed = found["UnprocessedKeys"].get(self.name, {}).get("Keys", [])
            if unprocessed:
                wanted += [key_of(key) for key in unprocessed]
                time.sleep(random.uniform(0, 1))  # noqa: S311 (jitter needs no secrecy)

    def get(self, key: Key) -> Item | None:
        """Returns an item."""
        self.load([key])
        return self.cache[key]

    def partition(self, pk: str, prefix: str = "", limit: int | None = None) -> Iterator[Item]:
        """Yields the items of a partition, without the cache."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            ExpressionAttributeValues={":pk": {"S": pk}, **({":prefix": {"S": prefix}} if prefix else {})},
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit},
        )
        for page in pages:
            yield from page["Items"]

    def scan(self, segment: int) -> Iterator[list[Item]]:
        """Yields the items of a segment in lists of up to 100."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.name, Segment=segment, TotalSegments=SEGMENTS
        )
        for page in pages:
            for start in range(0, len(page["Items"]), MAX_KEYS):
                yield page["Items"][start : start + MAX_KEYS]

    def forget(self) -> None:
        """Empties the cache."""
        self.cache.clear()

    # Writes of a transaction.

    def put(self, item: Item, condition: str = "attribute_not_exists(pk)", **values: Item) -> Item:
        """Returns the write of an item."""
        return {"Put": {"TableName": self.name, "Item": item, **_condition(condition, values)}}

    def delete(self, key: Key, condition: str = "", **values: Item) -> Item:
        """Returns the deletion of an item."""
        return {"Delete": {"TableName": self.name, "Key": attributes(key), **_condition(condition, values)}}

    def check(self, key: Key, condition: str, **values: Item) -> Item:
        """Returns the check of an item."""
        return {"ConditionCheck": {"TableName": self.name, "Key": attributes(key), **_condition(condition, values)}}


def _condition(condition: str, values: dict[str, Item]) -> Item:
    if not condition:
        return {}
    bound: Item = {"ConditionExpression": condition}
    if values:
        bound["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
    if "#type" in condition:
        # A reserved word. The other names are not.
        bound["ExpressionAttributeNames"] = {"#type": "type"}
    return bound


class Rules:
    """Rules of a table. `verdict` decides on an item, `copy` writes it."""

    # Types that are never copied, with the reason.
    never: ClassVar[dict[str, str]]

    def __init__(self, restored: Table, live: Table, directory: Table, restore_deleted: bool) -> None:
        self.restored, self.live, self.directory = restored, live, directory
        self.restore_deleted = restore_deleted

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
            return MISSING if verdict is UNDECIDED and self.restore_deleted else verdict
        if found == item or found == self.copied(item):
            return Verdict(State.EQUAL)
        return Verdict(State.OLDER if self.order(item) > self.order(found) else State.NEWER)

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
                if cancellation_codes(error) <= {"ConditionalCheckFailed", "TransactionConflict"}:
                    time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 (jitter needs no secrecy)
                    continue
                raise
            return written + sum("Put" in write for write in writes)
        raise ConcurrentChangeError

    def transact(self, writes: list[Item]) -> None:
        """Writes items in a transaction. Waits while the throughput of a partition is exceeded."""
        for pause in (*THROTTLING_PAUSES, None):
            try:
                self.live.dynamodb.transact_write_items(TransactItems=writes)
            except self.live.dynamodb.exceptions.TransactionCanceledException as error:
                if pause is None or not cancellation_codes(error) & THROTTLED:
                    raise
                time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 (jitter needs no secrecy)
            else:
                return


def cancellation_codes(error: ClientError) -> set[str]:
    """Returns the reasons why a transaction was cancelled."""
    return {reason["Code"] for reason in error.response["CancellationReasons"]} - {"None"}


class ConcurrentChangeError(Exception):
    """An item was changed by others in each attempt to copy it."""


class DirectoryRules(Rules):
    """Rules of the directory table."""

    never: ClassVar = {
        "idempotencyRecord": "short-lived",
        "idempotencyPiece": "short-lived",
        "ticket": "short-lived",
        "replay": "replays are not resumed",
        # A second run would send the present status as of the time of the change.
        "statusChange": "events of a changed status are not sent again",
        "signingKey": "a rotation creates a new one",
        "destinationCount": "counted again",
        "integrationCount": "counted again",
    }
    versions: ClassVar = {
        "environment": "version",
        "user": "version",
        "destination": "version",
        # Does not increase with `namings`, so a reference since then is kept. One that is lost does
        # no harm: a deletion compares the number only with the one that it has read.
        "credential": "revision",
        "workflow": "revision",
        "installation": "revision",
        "integration": "version",
    }
    # Attributes of a destination's health that describe the work of a drain.
    drain = ("lease", "leasedUntil", "wakeAt", "nextProbeAt", "retryAfter")

    def order(self, item: Item) -> Any:
        kind = text(item, "type")
        if kind == "apiKeyRecord":
            return "revokedAt" in item
        version = int(text(item, self.versions.get(kind, "")) or 0)
        # The version of an integration that was created again begins anew.
        return (text(item, "createdAt"), version) if kind == "integration" else version

    def copied(self, item: Item) -> Item:
        match text(item, "type"):
            case "health":
                return {name: value for name, value in item.items() if name not in self.drain}
            case "installation":
                # Without workflows that were deleted while it was missing or older.
                listed = self.workflows(item)
                self.live.load(map(tombstone, listed))
                kept = [workflow for key, workflow in listed.items() if not self.live.get(tombstone(key))]
                return {**item, "workflows": {"L": kept}}
            case "deletion" if "M" not in item.get("counts", {}):
                # The job counts before it deletes anything, so the restored table has everything.
                # The stack may have lost some of it.
                return {**item, "counts": {"M": self.counts(self.user(item)[0])}}
        return item

    def counts(self, partition: str) -> Item:
        """Returns the numbers of items that a deleted user owned at the restore time."""
        kinds = Counter(text(item, "sk").partition("#")[0] for item in self.restored.partition(partition))
        return {f"{kind}s": {"N": str(kinds[kind])} for kind in ("workflow", "credential", "installation")}

    def missing(self, item: Item) -> Verdict | None:
        match text(item, "type"):
            case "environment" | "firstSigningKey" | "tombstone" | "erasure" | "erased":
                return MISSING
            case "user":
                return self.missing_user(item)
            case "nameClaim":
                user = self.live.get(self.user(item))
                if user is None:
                    return self.follow(self.user(item), "user")
                return MISSING if key_of(item) in claims(user) else skipped("its user has other names now")
            case "credential":
                return self.deleted(item) or self.owned(item, lost=False)
            case "workflow":
                return self.missing_workflow(item)
            case "workflowPointer":
                workflow = self.live.get(self.workflow(item))
                if workflow and self.pointer(workflow) != key_of(item):
                    return skipped("its workflow has another name now")
                return self.follow(self.workflow(item), "workflow")
            case "installation":
                return self.missing_installation(item)
            case "destination":
                deleted = (f"{environment(item)}#deleted-destinations", text(item, "sk"))
                return skipped("deleted") if self.live.get(deleted) else UNDECIDED
            case "integration":
                return UNDECIDED
            case "deletedDestination":
                return skipped("its destination exists") if self.live.get(self.destination(item)) else MISSING
            case "health":
                return self.follow(self.destination(item), "destination")
            case "apiKeyRecord":
                return MISSING if "revokedAt" in item or self.live.get(self.grant(item)) else UNDECIDED
            case "apiKey":
                record = self.live.get(self.record(item)) or self.restored.get(self.record(item)) or {}
                return skipped("revoked") if "revokedAt" in record else self.follow(self.record(item), "record")
            case "deletion":
                pk, sk = self.user(item)
                if self.live.get((pk, sk)):
                    return skipped("its user exists")
                return MISSING if any(self.live.partition(pk, limit=1)) else skipped("completed")
        return None

    def missing_user(self, item: Item) -> Verdict:
        """Decides on a missing user.

        A deletion deletes the names in the same transaction, so a name that is left proves an
        accident.
        """
        deletion = (f"{environment(item)}#deletions", f"deletion#{text(item, 'userId')}")
        if self.live.get(deletion):
            return skipped("deleted")
        if deleted := self.deleted(item):
            return deleted
        names = claims(item)
        own = [text(self.restored.get(name) or {}, "userId") == text(item, "userId") for name in names]
        if not all(own):
            return Verdict(State.UNKNOWN, "its names are not reserved in the restored table")
        holders = {text(claim, "userId") for name in names if (claim := self.live.get(name))}
        if holders - {text(item, "userId")}:
            return skipped("another user has its name")
        return MISSING if holders else UNDECIDED

    def missing_workflow(self, item: Item) -> Verdict:
        """Decides on a missing workflow.

        A deletion deletes the pointer in the same transaction, so a pointer that is left proves an
        accident.
        """
        if deleted := self.deleted(item):
            return deleted
        pointer = self.live.get(self.pointer(item))
        if pointer and text(pointer, "workflowId") != text(item, "workflowId"):
            return skipped("another workflow has its name")
        if installation := self.installation(item):
            return self.missing_installed(item, installation, lost=pointer is not None)
        return self.owned(item, lost=pointer is not None)

    def missing_installed(self, item: Item, key: Key, lost: bool) -> Verdict:
        """Decides on a missing workflow of an installation, which has this key.

        The deletion of a workflow removes it from its installation in the same transaction, so an
        installation that lists a missing workflow proves an accident. Uninstalling writes a
        tombstone of the installation only.
        """
        if self.is_uninstalled(key, text(item, "createdAt")):
            return skipped("uninstalled")
        found = [installation for table in (self.live, self.restored) if (installation := table.get(key))]
        if not found:
            return self.owned(item, lost)
        # An older one in the stack is replaced.
        listed = self.workflows(max(found, key=self.order))
        if key_of(item) not in listed:
            return skipped("its installation does not list it")
        # A request to the installation creates a workflow whose predecessor is missing.
        if any(workflow["M"]["key"] == item["key"] and self.live.get(other) for other, workflow in listed.items()):
            return skipped("another workflow of its installation has its key")
        return self.owned(item, lost=True) if self.live.get(key) else self.follow(key, "installation")

    def missing_installation(self, item: Item) -> Verdict:
        """Decides on a missing installation.

        Uninstalling deletes its workflows and their pointers in the same transaction, so one that
        is left proves an accident.
        """
        if self.is_uninstalled(key_of(item), text(item, "installedAt")):
            return skipped("uninstalled")
        keys = self.workflows(item)
        self.live.load(keys)
        self.restored.load(keys)
        return self.owned(item, lost=any(map(self.is_left, keys)))

    def is_uninstalled(self, installation: Key, since: str) -> bool:
        """Whether an installation was deleted after a time.

        A tombstone has the time of the last deletion, rounded down to a second. One that is not
        later belongs to an earlier installation with the same key.
        """
        found = self.live.get(tombstone(installation))
        return bool(found) and int(text(found, "expiresAt")) - REMEMBERED > datetime.fromisoformat(since).timestamp()

    def is_left(self, workflow: Key) -> bool:
        """Whether the stack has a workflow or the pointer to it."""
        if self.live.get(workflow):
            return True
        restored = self.restored.get(workflow)
        pointer = self.live.get(self.pointer(restored)) if restored else None
        return bool(pointer) and self.workflow(pointer) == workflow

    def owned(self, item: Item, lost: bool) -> Verdict:
        """Decides on a missing item of a user."""
        owner = self.follow(self.user(item), "user")
        return UNDECIDED if owner is MISSING and not lost else owner

    def deleted(self, item: Item) -> Verdict | None:
        """Returns a verdict if the item has a tombstone."""
        return skipped("deleted") if self.live.get(tombstone(key_of(item))) else None

    def dependencies(self, item: Item) -> list[Key]:
        match text(item, "type"):
            case "nameClaim" | "credential" | "installation":
                return [self.user(item)]
            case "workflow":
                installation = self.installation(item)
                follows = installation and self.follow(installation, "installation").is_copied
                return [self.user(item), *([installation] if follows else [])]
            case "workflowPointer":
                return [self.workflow(item)]
            case "health":
                return [self.destination(item)]
            case "apiKey":
                return [self.record(item)]
        return []

    def writes(self, item: Item, found: Item | None) -> list[Item]:
        live, copy = self.live, self.copied(item)
        version = self.versions.get(text(item, "type"), "")
        unchanged = (
            {"condition": f"{version} = :before", "before": found[version]} if found and version in found else {}
        )
        put = live.put(copy, **unchanged)
        match text(item, "type"):
            case "user":
                own = {"condition": "attribute_not_exists(pk) OR userId = :user", "user": item["userId"]}
                names, before = claims(item), claims(found) if found else []
                reserved = [claim for name in names if (claim := self.restored.get(name))]
                released = [live.delete(name, **own) for name in before if name not in names]
                return [put, *(live.put(claim, **own) for claim in reserved), *released]
            case "nameClaim":
                user = live.get(self.user(item)) or {}
                return [put, live.check(self.user(item), "version = :version", version=user.get("version", {"N": "0"}))]
            case "credential" | "installation":
                return [put, live.check(self.user(item), "attribute_exists(pk)")]
            case "workflow":
                same = {"condition": "attribute_not_exists(pk) OR workflowId = :id", "id": item["workflowId"]}
                pointer = self.restored.get(self.pointer(item))
                pointers = [live.put(pointer, **same)] if pointer else []
                installations = [self.check_unchanged(key)] if (key := self.installation(item)) else []
                return [put, *pointers, *installations, live.check(self.user(item), "attribute_exists(pk)")]
            case "workflowPointer":
                return [put, live.check(self.dependencies(item)[0], "attribute_exists(pk)")]
            case "destination":
                deleted = (f"{environment(item)}#deleted-destinations", text(item, "sk"))
                return [put, live.check(deleted, "attribute_not_exists(pk)")]
            case "deletedDestination":
                return [put, live.check(self.destination(item), "attribute_not_exists(pk)")]
            case "health":
                return [put, live.check(self.destination(item), "attribute_exists(pk)")]
            case "apiKeyRecord":
                # A revoked key loses its grant with the same write.
                put = live.put(copy, "attribute_not_exists(revokedAt)") if "revokedAt" in item else put
                return [put, *([live.delete(self.grant(item))] if "revokedAt" in item else [])]
            case "apiKey":
                valid = "attribute_exists(pk) AND attribute_not_exists(revokedAt)"
                return [put, live.check(self.record(item), valid)]
            case "deletion":
                return [put, live.check(self.user(item), "attribute_not_exists(pk)")]
        return [put]

    def check_unchanged(self, installation: Key) -> Item:
        """Returns the check that an installation is as it was read."""
        found = self.live.get(installation)
        if found is None:
            return self.live.check(installation, "attribute_not_exists(pk)")
        return self.live.check(installation, "revision = :revision", revision=found["revision"])

    def user(self, item: Item) -> Key:
        """Returns the key of the user of an item."""
        return f"{environment(item)}#user#{text(item, 'userId')}", "user"

    def workflow(self, item: Item) -> Key:
        """Returns the key of the workflow of an item."""
        return f"{environment(item)}#workflow#{text(item, 'workflowId')}", "workflow"

    def workflows(self, installation: Item) -> dict[Key, Item]:
        """Returns the workflows that an installation lists, by their keys."""
        pk, listed = installation["pk"], installation["workflows"]["L"]
        return {self.workflow({"pk": pk, **workflow["M"]}): workflow for workflow in listed}

    def installation(self, workflow: Item) -> Key | None:
        """Returns the key of the installation of a workflow, or None if the back end created it."""
        installed = "S" in workflow.get("key", {})
        return (self.user(workflow)[0], f"installation#{text(workflow, 'integrationId')}") if installed else None

    def pointer(self, item: Item) -> Key:
        """Returns the key of the pointer to a workflow."""
        return self.user(item)[0], f"workflow#{text(item, 'name')}"

    def destination(self, item: Item) -> Key:
        """Returns the key of the destination of an item."""
        return f"{environment(item)}#destinations", f"destination#{text(item, 'destinationId')}"

    def grant(self, record: Item) -> Key:
        """Returns the key of the grant of an API key."""
        return f"key#{text(record, 'hash')}", "key"

    def record(self, grant: Item) -> Key:
        """Returns the key of the record of an API key."""
        return f"env#{text(grant, 'environmentId')}#keys", f"key#{text(grant, 'keyId')}"


# Items that count the items of their partition: the attribute, and the prefix of what is counted.
COUNTS = {"destinationCount": ("destinations", "destination#"), "integrationCount": ("integrations", "integration#")}


def count_again(live: Table, count: Item) -> None:
    """Corrects the number of destinations or integrations of an environment."""
    (pk, sk), (attribute, prefix) = key_of(count), COUNTS[text(count, "type")]
    for _ in range(MAX_ATTEMPTS):
        live.forget()
        found = live.get((pk, sk))
        number = sum(1 for _ in live.partition(pk, prefix))
        if found and text(found, attribute) == str(number):
            return
        corrected = {**count, attribute: {"N": str(number)}}
        unchanged = {"condition": f"{attribute} = :before", "before": found[attribute]} if found else {}
        try:
            live.dynamodb.put_item(**live.put(corrected, **unchanged)["Put"])
        except live.dynamodb.exceptions.ConditionalCheckFailedException:
            continue
        return
    raise ConcurrentChangeError


def claims(user: Item) -> list[Key]:
    """Returns the keys of the claims of a user's names.

    `email.rs` and `names.rs` in `shared/src/domain` form them. A damaged address has none.
    """
    given = [text(user, name) for name in ("username", "email") if "S" in user.get(name, {})]
    names = {name: None for name in map(canonical, given) if name}
    return [(f"{environment(user)}#name#{name}", "claim") for name in names]


# Words with dots between them, which need no quotes in an email address.
WORD = r"[\w!#$%&'*+/=?^`{|}~\-\u0080-\U0010ffff]+"
WORDS = re.compile(rf"{WORD}(\.{WORD})*")


def canonical(name: str) -> str | None:
    """Returns the canonical form of a username or an email address, or None if it is invalid."""
    local, at, domain = name.rpartition("@")
    if not at:
        return folded(name)
    if local[:1] == local[-1:] == '"' and WORDS.fullmatch(local[1:-1]):
        local = local[1:-1]
    try:
        return folded(f"{folded(local)}@{ascii_domain(domain)}")
    except idna.IDNAError:
        return None


def folded(text: str) -> str:
    """Returns a text in Unicode NFC, without differences of case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def ascii_domain(domain: str) -> str:
    """Returns a valid domain name in ASCII, as UTS 46 defines it."""
    labels = idna.uts46_remap(domain, std3_rules=False, transitional=False).split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


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
        if found and text(found, "type") == RESTORING:
            return MISSING
        return super().verdict(item)

    def missing(self, item: Item) -> Verdict | None:
        match text(item, "type"):
            case "event" if text(item, "eventType") == "user.deleted":
                # Erasures keep the receipt.
                return MISSING
            case "error":
                return self.missing_record(item, recorded_at=text(item, "updatedAt"))
            case "event":
                return self.missing_record(item, recorded_at=text(item, "createdAt"))
            case "delivery" | "delivered":
                # A delivery is copied with its records, or with some of them.
                order = (State.MISSING, State.UNDECIDED, State.SKIPPED)
                return min(self.records(item).values(), key=lambda verdict: order.index(verdict.state))
        return None

    def missing_record(self, item: Item, recorded_at: str) -> Verdict:
        """Decides on a missing record, which an erasure deletes without a trace of its own."""
        erasure = (f"{environment(item)}#erasures", f"erasure#{text(item, 'userId')}")
        erased = text(self.directory.get(erasure) or {}, "startedAt")
        return skipped("erased") if erased >= recorded_at else UNDECIDED

    def dependencies(self, item: Item) -> list[Key]:
        return [] if text(item, "type") in RECORDS else self.keys_of_records(self.copied(item))

    def writes(self, item: Item, found: Item | None) -> list[Item]:
        if text(item, "type") not in RECORDS:
            return [self.live.put(self.copied(item))]
        if found is None:
            return [self.live.put({**item, "type": {"S": RESTORING}})]
        return [self.live.put(item, "#type = :restoring", restoring={"S": RESTORING})]

    def copy(self, item: Item) -> int:
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
    stack, restored, table, apply, deleted = (
        os.environ.get(name, "") for name in ("STACK", "FROM", "TABLE", "APPLY", "DELETED")
    )
    if not restored or table not in ("directory", "errors") or deleted not in ("", "restore", "keep"):
        sys.exit(
            "usage: make restore FROM=<restored table> TABLE=directory|errors [APPLY=1] [DELETED=restore|keep] [STACK=tenon]"
        )
    try:
        run(stack, restored, table, apply == "1", deleted)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS rejected a call or cannot be reached: {error}\nThe same command continues.")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command continues.")


def run(stack: str, restored: str, table: str, apply: bool, deleted: str) -> None:
    """Compares the tables, and prints the result."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    config = Config(retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=2 * SEGMENTS)
    dynamodb = session.client("dynamodb", config=config)
    [described] = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    directory, errors = outputs["DirectoryTable"], outputs["ErrorsTable"]
    live = directory if table == "directory" else errors
    if restored in (directory, errors):
        sys.exit(f"{restored} is a table of the stack {stack}. FROM must be the restored table.")
    description = dynamodb.describe_table(TableName=restored)["Table"]
    # Unknown to a table that was filled in another way.
    source = description.get("RestoreSummary", {}).get("SourceTableArn", "")
    if source and not source.endswith(f":table/{live}"):
        sys.exit(f"{restored} was restored from {source}, which is not the {table} table of the stack {stack}.")
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
