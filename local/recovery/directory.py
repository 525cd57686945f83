"""Rules of the directory table."""

from collections import Counter
from datetime import datetime
from typing import Any, ClassVar

from recovery.names import canonical
from recovery.rules import (
    MAX_ATTEMPTS,
    MISSING,
    UNDECIDED,
    ConcurrentChangeError,
    Rules,
    State,
    Verdict,
    cancellation_codes,
    skipped,
)
from recovery.table import Item, Key, Table, environment, key_of, text, tombstone, unchanged

# Seconds from a deletion to the expiry of its tombstone, as in `shared/src/store/tombstones.rs`.
REMEMBERED = 36 * 24 * 60 * 60


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
    # Attributes of a destination's health that describe the work of a drain, or since when there
    # was no success: a destination is disabled after five days, of which it may have worked some.
    transient = ("lease", "leasedUntil", "wakeAt", "nextProbeAt", "failedProbes", "retryAfter", "outageSince")

    def order(self, item: Item) -> Any:
        kind = text(item, "type")
        if kind == "apiKeyRecord":
            return "revokedAt" in item
        version = int(text(item, self.versions.get(kind, "")) or 0)
        # The version of an integration that was created again begins anew.
        return (text(item, "createdAt"), version) if kind == "integration" else version

    def content(self, item: Item) -> Item | None:
        kind = text(item, "type")
        # What has no version, such as health, changes without a trace.
        return {name: value for name, value in item.items() if name != "namings"} if kind in self.versions else None

    def copied(self, item: Item) -> Item:
        match text(item, "type"):
            case "health":
                return {name: value for name, value in item.items() if name not in self.transient}
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

    def conflict(self, item: Item) -> Verdict | None:
        match text(item, "type"):
            case "user":
                found = [claim for name in claims(item) if (claim := self.live.get(name))]
                if not all(belongs(claim, "userId", item) for claim in found):
                    return Verdict(State.CONFLICT, "another user has its name")
            case "workflow":
                pointer = self.live.get(self.pointer(item))
                if pointer and not belongs(pointer, "workflowId", item):
                    return Verdict(State.CONFLICT, "another workflow has its name")
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
        return MISSING if any(belongs(self.live.get(name), "userId", item) for name in names) else UNDECIDED

    def missing_workflow(self, item: Item) -> Verdict:
        """Decides on a missing workflow.

        A deletion deletes the pointer in the same transaction, so a pointer that is left proves an
        accident.
        """
        if deleted := self.deleted(item):
            return deleted
        lost, installation = self.has_pointer(item), self.installation(item)
        return self.missing_installed(item, installation, lost) if installation else self.owned(item, lost)

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
        return (
            found is not None and int(text(found, "expiresAt")) - REMEMBERED > datetime.fromisoformat(since).timestamp()
        )

    def is_left(self, workflow: Key) -> bool:
        """Whether the stack has a workflow or the pointer to it."""
        if self.live.get(workflow):
            return True
        restored = self.restored.get(workflow)
        return restored is not None and self.has_pointer(restored)

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
                if installation and self.follow(installation, "installation").is_copied:
                    return [self.user(item), installation]
                return [self.user(item)]
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
        put = live.put(copy, **(unchanged(found, version) if found and version else {}))
        match text(item, "type"):
            case "user":
                own = {"condition": "attribute_not_exists(pk) OR userId = :user", "user": item["userId"]}
                names = claims(item)
                reserved = [claim for name in names if (claim := self.restored.get(name))]
                former = [name for name in claims(found or {}) if name not in names]
                released = [live.delete(name, **own) for name in former if belongs(live.get(name), "userId", item)]
                return [put, *(live.put(claim, **own) for claim in reserved), *released]
            case "nameClaim":
                return [put, live.check(self.user(item), **unchanged(live.get(self.user(item)) or {}, "version"))]
            case "credential" | "installation":
                return [put, live.check(self.user(item), "attribute_exists(pk)")]
            case "workflow":
                same = {"condition": "attribute_not_exists(pk) OR workflowId = :id", "id": item["workflowId"]}
                pointer = self.restored.get(self.pointer(item))
                pointers = [live.put(pointer, **same)] if pointer else []
                # Of the names that it has in the stack.
                others = [key for key in self.pointers(item) if key != self.pointer(item)]
                pointers += [live.delete(key, **same) for key in others]
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

    def release(self, segment: int) -> int:
        """Releases names that a restored user had in the stack, but not at the restore time. A
        deletion of the user would not find their claims.
        """
        released = 0
        for found in self.live.scan(segment, "nameClaim"):
            for table in (self.restored, self.live):
                table.forget()
                table.load(map(self.user, found))
            for claim in found:
                if self.stopped.is_set():
                    return released
                try:
                    released += self.is_left_over(claim) and self.release_name(claim)
                except (LookupError, ValueError, TypeError, AttributeError):
                    # The user is damaged, and keeps its names.
                    continue
        return released

    def is_left_over(self, claim: Item) -> bool:
        """Whether a claim is of a name that its restored user does not have.

        The claims of a user that was changed since are in use. The canonical form of a name could
        be another one here than in the API: the user must have claims of all its names.
        """
        user = self.live.get(self.user(claim))
        if user is None or user != self.restored.get(self.user(claim)) or key_of(claim) in claims(user):
            return False
        own = [belongs(self.live.get(name), "userId", user) for name in claims(user)]
        return len(own) == len(set(names(user))) and all(own)

    def release_name(self, claim: Item) -> bool:
        """Deletes the claim of a name, unless the claim or its user was changed."""
        user = self.live.get(self.user(claim)) or {}
        same = self.live.check(self.user(claim), **unchanged(user, "version"))
        try:
            self.transact([self.live.delete(key_of(claim), "userId = :user", user=claim["userId"]), same])
        except self.live.dynamodb.exceptions.TransactionCanceledException as error:
            if "ConditionalCheckFailed" not in cancellation_codes(error):
                raise
            return False
        return True

    def check_unchanged(self, installation: Key) -> Item:
        """Returns the check that an installation is as it was read."""
        found = self.live.get(installation)
        if found is None:
            return self.live.check(installation, "attribute_not_exists(pk)")
        return self.live.check(installation, **unchanged(found, "revision"))

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

    def has_pointer(self, workflow: Item) -> bool:
        """Whether the stack has a pointer to a workflow."""
        return belongs(self.live.get(self.pointer(workflow)), "workflowId", workflow) or bool(self.pointers(workflow))

    def pointers(self, workflow: Item) -> list[Key]:
        """Returns the keys of the pointers to a workflow in the stack, of all names that it had."""
        found = self.live.partition(self.user(workflow)[0], "workflow#")
        return [key_of(pointer) for pointer in found if belongs(pointer, "workflowId", workflow)]

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
        put = live.put(corrected, **(unchanged(found, attribute) if found else {}))
        try:
            live.dynamodb.put_item(**put["Put"])
        except live.dynamodb.exceptions.ConditionalCheckFailedException:
            continue
        return
    raise ConcurrentChangeError


def belongs(pointer: Item | None, attribute: str, item: Item) -> bool:
    """Whether a pointer or a claim, if it exists, has the same id as an item."""
    return pointer is not None and pointer.get(attribute) == item[attribute]


def claims(user: Item) -> list[Key]:
    """Returns the keys of the claims of a user's names.

    A damaged address has none.
    """
    return [(f"{environment(user)}#name#{name}", "claim") for name in dict.fromkeys(names(user)) if name]


def names(user: Item) -> list[str | None]:
    """Returns the canonical forms of a user's names: None for a damaged address."""
    return [canonical(text(user, name)) for name in ("username", "email") if "S" in user.get(name, {})]
