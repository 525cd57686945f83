"""Restores of lost items: an environment loses half of its items, and gets them back."""

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks
import tenon
from customer import Bus, Endpoint, make_bus
from deployed import Environment, NewEnvironment, delivery_partitions, run_schedule, timestamp
from emulator import REGION, Emulator
from paths import ROOT
from recovery.directory import claims
from recovery.errors import RECORDS, ErrorsRules, complete
from recovery.table import Table
from stack import STACK, Stack
from waiting import PATIENCE, wait

pytestmark = pytest.mark.alone

# Number of users of which nothing else is tested. Copying them takes long enough to be interrupted.
CROWD = 200
# Workflows of each integration that is installed.
KEYS = ("orders", "stock")
# Items of the directory that are not restored.
SKIPPED = (
    "1 installation (uninstalled)",
    "2 workflow (uninstalled)",
    "3 workflow (its installation does not list it)",
    "1 workflow (another workflow of its installation has its key)",
    "1 statusChange (events of a changed status are not sent again)",
)
# Members of a destination that change when it is used.
HEALTH = {"health", "verified", "verification"}


Key = tuple[str, str]
Items = dict[Key, dict[str, Any]]


def key_of(item: dict[str, Any]) -> Key:
    """Returns the primary key of an item."""
    return item["pk"]["S"], item["sk"]["S"]


class Tables:
    """A table of the stack, and the table to which it was restored."""

    def __init__(self, emulator: Emulator, stack: Stack, name: str, restored: str = "") -> None:
        self.dynamodb, self.name = emulator.client("dynamodb"), name
        self.live, self.restored = stack.outputs[f"{name.title()}Table"], restored or f"{name}-restored"

    def back_up(self, items: Items) -> None:
        """Makes a restored table of one environment, which keeps the test short."""
        self.dynamodb.create_table(
            TableName=self.restored,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        )
        writes = [{"PutRequest": {"Item": item}} for item in items.values()]
        for start in range(0, len(writes), 25):
            self.dynamodb.batch_write_item(RequestItems={self.restored: writes[start : start + 25]})

    def scan(self, table: str, condition: str = "attribute_exists(pk)", **values: str) -> Items:
        """Returns the items of a table that match a condition."""
        bound = {"ExpressionAttributeValues": {f":{name}": {"S": value} for name, value in values.items()}}
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=table, ConsistentRead=True, FilterExpression=condition, **(bound if values else {})
        )
        return {key_of(item): item for page in pages for item in page["Items"]}

    def partition(self, pk: str) -> Items:
        """Returns the items of a partition of the stack."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.live,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
        )
        return {key_of(item): item for page in pages for item in page["Items"]}

    def lose(self, keys: Iterable[Key]) -> None:
        """Deletes items of the stack."""
        for pk, sk in keys:
            self.dynamodb.delete_item(TableName=self.live, Key={"pk": {"S": pk}, "sk": {"S": sk}})

    def command(self, **settings: str) -> "subprocess.Popen[str]":
        """Starts the command."""
        environment = {**os.environ, "STACK": STACK, "FROM": self.restored, "TABLE": self.name, **settings}
        command = [sys.executable, str(ROOT / "local" / "restore.py")]
        return subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def restore(self, **settings: str) -> tuple[int, str]:
        """Runs the command. Returns the exit code and the output."""
        process = self.command(**settings)
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            pytest.fail(f"not within {PATIENCE} seconds:\n{output}")
        return process.returncode, output


class Accident:
    """An environment that was backed up, changed, and lost half of what was backed up."""

    def __init__(
        self, emulator: Emulator, stack: Stack, environment: Environment, endpoints: list[Endpoint], bus: Bus
    ) -> None:
        self.emulator, self.stack, self.environment = emulator, stack, environment
        (self.webhook, self.failing, self.listener), self.bus = endpoints, bus
        self.directory, self.errors = (Tables(emulator, stack, name) for name in ("directory", "errors"))
        self.fill()
        for tables in (self.directory, self.errors):
            tables.back_up(self.items(tables))
        self.change()
        self.changed_at = timestamp(datetime.now(UTC))
        self.shown = self.snapshot()
        self.lost = {tables.name: self.lose_half(tables) for tables in (self.directory, self.errors)}
        # The first workflow is missing, and is created again.
        self.set_workflows(self.renamed, "recreated", KEYS)
        self.leave_jobs()
        self.leave_emptied_deliveries()
        self.leave_incomplete_records()

    def fill(self) -> None:
        """Stores something of each kind through the API."""
        call = self.environment.call
        self.joe, self.deleted, self.disabled, self.renamed, self.former = (
            call("POST", "/users", {"username": name, "email": f"{name}@ACME.example"}, 201)["userId"]
            for name in ("joe", "deleted", "disabled", "renamed", "former")
        )
        listener = {
            "type": "webhook",
            "url": self.listener.url,
            "events": ["credential.*", "installation.*", "workflow.*"],
            "filter": {"userId": [self.joe]},
        }
        self.listening = call("POST", "/destinations", listener, 201)["destinationId"]
        users = [{"username": f"user-{number}"} for number in range(CROWD)]
        call("POST", "/users/batch", {"users": users})
        self.overwritten = self.items(self.directory)[self.key_of_user(self.joe)]
        call("PATCH", f"/users/{self.joe}", {"fullName": "Joe Smoe"})
        self.credentials = [self.new_credential(self.joe, f"shop {number}") for number in range(4)]
        self.credential = (self.key_of_user(self.joe)[0], f"credential#{self.credentials[0]}")
        self.new_credential(self.deleted, "shop of a deleted user")
        self.workflows = [self.new_workflow(self.joe, f"sync {number}") for number in range(4)]
        self.new_workflow(self.deleted, "sync of a deleted user")
        self.new_workflow(self.former, "sync of a former user")
        self.delete_user(self.former)
        template = {"name": "Orders", "workflows": [{"key": "orders", "name": "Orders"}]}
        for number in range(4):
            call("PUT", f"/integrations/orders-{number}", template, 201)
        self.install_all()
        settings = {"type": "webhook", "url": self.webhook.url}
        made = call("POST", "/destinations", settings, 201)
        self.secret, self.destination = made["secret"], made["destinationId"]
        self.bus_destination = call("POST", "/destinations", self.bus_settings(), 201)["destinationId"]
        self.deleted_destination = call("POST", "/destinations", {**settings, "enabled": False}, 201)["destinationId"]
        self.grant = (f"key#{hashlib.sha256(self.environment.engine_key.encode()).hexdigest()}", "key")
        self.revoked = tenon.Api(self.stack.url, self.new_key("revoked"))
        for workflow in self.workflows[:2]:
            self.record(workflow, 10)
        wait(lambda: self.webhook.received.qsize() == 20, "all errors are delivered")
        wait(lambda: self.is_delivered(self.destination), "they are recorded as delivered", pause=0.5)
        self.make_pending()
        events = self.key_of_events(self.joe)
        wait(lambda: len(self.errors.partition(events)) == self.heard(), "all events are delivered", pause=0.2)

    def install_all(self) -> None:
        """Installs integrations. Each has another fate, which is its name."""
        self.installations: dict[str, Key] = {}
        names = ("kept", "lost", "left", "pointed", "uninstalled", "replaced", "shrunk")
        self.installed = {name: self.install(self.joe, name) for name in names}
        # The restored one has an earlier revision than what the API has shown of it.
        self.installed |= {name: self.install(self.renamed, name) for name in ("reduced", "recreated")}
        self.installed["of-deleted"] = self.install(self.deleted, "of-deleted")
        self.install(self.joe, "reinstalled")
        self.environment.call("DELETE", f"/users/{self.joe}/installations/reinstalled")
        self.installed["reinstalled"] = self.install(self.joe, "reinstalled")
        self.install(self.joe, "grown", KEYS[:1])
        self.smaller = self.items(self.directory)[self.installations["grown"]]
        self.installed["grown"] = self.set_workflows(self.joe, "grown", KEYS)

    def install(self, user: str, name: str, keys: Iterable[str] = KEYS) -> list[str]:
        """Installs an integration of its own. Returns the ids of the workflows."""
        fields = [{"name": "token", "label": "Token", "type": "secret"}]
        template = {
            "name": name,
            "credentialTypes": [{"type": "shopify", "name": f"shop of {name}", "fields": fields}],
            "workflows": [{"key": key, "name": f"{key} of {name}"} for key in KEYS],
        }
        assert self.environment.backend.call("PUT", f"/integrations/{name}", template).status in (200, 201)
        self.installations[name] = (self.key_of_user(user)[0], f"installation#{name}")
        credentials = {"shopify": {"data": {"token": f"token of {name}"}}}
        return self.set_workflows(user, name, keys, credentials=credentials)

    def set_workflows(self, user: str, name: str, keys: Iterable[str], **others: Any) -> list[str]:
        """Selects the active workflows of an installation. Returns the ids of all of them."""
        body = {"workflows": list(keys), **others}
        answer = self.environment.backend.call("PUT", f"/users/{user}/installations/{name}", body)
        assert answer.status in (200, 201), answer
        return [workflow["workflowId"] for workflow in answer.body["workflows"]]

    def make_pending(self) -> None:
        """Stores errors and an event whose deliveries stay pending, as if a drain were running.

        No drain runs until the end, also when the lease is lost: it would store lost deliveries.
        """
        self.run_drains(enabled=False)
        filter_ = {"workflowId": [self.workflows[2]]}
        events = ["error", "workflow.updated"]
        settings = {"type": "webhook", "url": self.failing.url, "filter": filter_, "events": events}
        self.failing_destination = self.environment.call("POST", "/destinations", settings, 201)["destinationId"]
        self.health = (f"env#{self.environment.id}#destinations", f"health#{self.failing_destination}")
        until = datetime.now(UTC) + timedelta(hours=1)
        self.directory.dynamodb.update_item(
            TableName=self.directory.live,
            Key={"pk": {"S": self.health[0]}, "sk": {"S": self.health[1]}},
            UpdateExpression="SET leasedUntil = :until",
            ExpressionAttributeValues={":until": {"S": timestamp(until)}},
        )
        self.record(self.workflows[2], 4)
        self.environment.call("PATCH", f"/workflows/{self.workflows[2]}", {"name": "renamed"})
        wait(lambda: len(self.deliveries()) == 5, "all deliveries are pending", pause=0.5)
        wait(lambda: self.webhook.received.qsize() == 24, "the webhook has received its errors")
        while self.failing.receive(0):
            pass

    def run_drains(self, *, enabled: bool) -> None:
        """Starts or stops invocations of the drain and of the sweep, which wakes it."""
        run_schedule(self.emulator, f"{STACK}-sweep", enabled=enabled)
        functions = self.emulator.client("lambda")
        [source] = functions.list_event_source_mappings(FunctionName=f"{STACK}-drain")["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=source["UUID"], Enabled=enabled)

    def deliveries(self) -> dict[Key, str]:
        """Returns the status of each delivery to the failing destination."""
        return {
            key: item["status"]["S"]
            for key, item in self.items(self.errors).items()
            if item["type"]["S"] == "delivery" and item["destinationId"]["S"] == self.failing_destination
        }

    def bus_settings(self) -> dict[str, Any]:
        """Returns the settings of a destination with the customer's keys."""
        keys = {
            "accessKeyId": os.environ["TENON_CUSTOMER_KEY_ID"],
            "secretAccessKey": os.environ["TENON_CUSTOMER_SECRET"],
        }
        return {"type": "eventbridge", "region": REGION, "eventBusName": self.bus.name, "credentials": keys}

    def change(self) -> None:
        """Changes the environment on purpose."""
        call = self.environment.call
        self.delete_user(self.deleted)
        call("POST", f"/users/{self.disabled}/disable")
        call("PATCH", f"/users/{self.renamed}", {"username": "another"})
        call("DELETE", f"/users/{self.joe}/credentials/{self.credentials[3]}")
        call("DELETE", f"/workflows/{self.workflows[3]}")
        self.former_name = call("GET", f"/workflows/{self.workflows[0]}")["name"]
        call("PATCH", f"/workflows/{self.workflows[0]}", {"name": "another name"})
        call("DELETE", f"/users/{self.joe}/installations/uninstalled")
        call("DELETE", f"/users/{self.joe}/installations/replaced")
        for workflow in self.install(self.joe, "replaced"):
            # The names of the first ones are free.
            call("PATCH", f"/workflows/{workflow}", {"name": f"another {workflow}"})
        for name in ("reduced", "shrunk"):
            call("DELETE", f"/workflows/{self.installed[name][0]}")
        # The revision of the credential stays the same.
        named = {"userId": self.joe, "name": "naming", "credentialIds": self.credentials[:1]}
        call("POST", "/workflows", named, 201)
        call("DELETE", f"/destinations/{self.deleted_destination}")
        self.invoke("KeysRevoke", keyId=self.key_id("revoked"))
        # An erasure completes after a minute at the earliest.
        self.put(self.directory.live, "erasures", "erasure", self.former, type="erased")

    def delete_user(self, user: str) -> None:
        """Deletes a user, and waits for the end of the deletion."""
        self.environment.call("DELETE", f"/users/{user}")
        deletion = (f"env#{self.environment.id}#deletions", f"deletion#{user}")
        wait(lambda: deletion not in self.items(self.directory), "the deletion is complete", pause=0.5)

    def put(self, table: str, partition: str, kind: str, user: str, **others: Any) -> None:
        """Writes a job of a user."""
        item: dict[str, Any] = {
            "pk": f"env#{self.environment.id}#{partition}",
            "sk": f"{kind}#{user}",
            "environmentId": self.environment.id,
            "userId": user,
            "startedAt": timestamp(datetime.now(UTC)),
            **others,
        }
        attributes = {name: value if isinstance(value, dict) else {"S": value} for name, value in item.items()}
        self.directory.dynamodb.put_item(TableName=table, Item=attributes)

    def rules_of_errors(self) -> ErrorsRules:
        """Returns the rules of the errors table."""
        names = (self.errors.restored, self.errors.live, self.directory.live)
        restored, live, directory = (Table(self.errors.dynamodb, name) for name in names)
        return ErrorsRules(restored, live, directory, True, threading.Event())

    def leave_emptied_deliveries(self) -> None:
        """Leaves deliveries in the restored table only, as between the two writes of an erasure."""
        backed_up = self.errors.scan(self.errors.restored).values()
        item = next(item for item in backed_up if item["type"]["S"] == "delivered")
        emptied = {**item, "sk": {"S": f"{item['sk']['S']}0"}, "attempts": {"M": {}}}
        self.errors.dynamodb.put_item(TableName=self.errors.restored, Item=emptied)

    def leave_incomplete_records(self) -> None:
        """Leaves records in the restored table as between the two writes of an earlier restore.

        There are a lost one, an intact one and one that is incomplete in the stack as well, of each
        type.
        """
        live, backed_up = self.items(self.errors), self.errors.scan(self.errors.restored)
        for kind, restoring in RECORDS.items():
            of_kind = [
                key
                for key in sorted(backed_up)
                if backed_up[key]["type"]["S"] == kind and key[0] != self.key_of_events(self.former)
            ]
            lost = next(key for key in of_kind if key not in live)
            intact, incomplete = [key for key in of_kind if key in live][:2]
            for key in (lost, intact, incomplete):
                item = {**backed_up[key], "type": {"S": restoring}}
                tables = [self.errors.restored, *([self.errors.live] if key == incomplete else [])]
                for table in tables:
                    self.errors.dynamodb.put_item(TableName=table, Item=item)

    def leave_jobs(self) -> None:
        """Leaves jobs in the restored table only: a complete one, and an interrupted one."""
        restored, live = self.directory.restored, self.directory.live
        seed = {"M": {"at": {"S": timestamp(datetime.now(UTC))}, "bytes": {"S": secrets.token_hex(16)}}}
        others = {"actor": {"NULL": True}, "seed": seed}
        self.put(restored, "status-changes", "status-change", self.disabled, type="statusChange", **others)
        self.unfinished = f"{int(time.time()):08x}{secrets.token_hex(8)}"
        others |= {"version": {"N": "1"}, "counts": {"NULL": True}}
        self.put(restored, "deletions", "deletion", self.unfinished, type="deletion", **others)
        pk, _ = self.key_of_user(self.unfinished)
        credential = self.items(self.directory)[self.credential]
        owned = {**credential, "pk": {"S": pk}, "userId": {"S": self.unfinished}}
        for tables in ((restored, live), (restored,)):
            owned["sk"] = {"S": f"credential#{len(tables)}"}
            for table in tables:
                self.directory.dynamodb.put_item(TableName=table, Item=owned)

    def lose_half(self, tables: Tables) -> list[Key]:
        """Deletes every second item that was backed up and still exists, and overwrites one."""
        backed_up = tables.scan(tables.restored)
        lost = set(sorted(backed_up.keys() & self.items(tables).keys())[::2])
        if tables is self.directory:
            # These show that a change was made on purpose.
            users = {self.key_of_user(user) for user in (self.joe, self.disabled, self.renamed)}
            lost -= users | {(f"env#{self.environment.id}#keys", f"key#{self.key_id('revoked')}")}
            lost -= {(f"env#{self.environment.id}#workflow#{self.workflows[0]}", "workflow")}
            lost |= {self.grant, self.health}
            lost -= {self.credential} | self.spare(backed_up)
            self.lose_installations(backed_up)
            lost |= self.proven | self.undecided
            for item in (self.overwritten, self.smaller):
                tables.dynamodb.put_item(TableName=tables.live, Item=item)
        else:
            lost |= {key for key in self.deliveries() if "#user#" in key[1]}
            # Of these only the receipt is restored.
            former = {key for key in backed_up if key[0] == self.key_of_events(self.former)}
            tables.lose(former)
            lost -= former
        tables.lose(lost)
        return sorted(lost)

    def spare(self, backed_up: Items) -> set[Key]:
        """Returns the keys of tombstones, integrations, installations and their workflows."""
        parts = self.parts(backed_up, *(id_ for ids in self.installed.values() for id_ in ids))
        kinds = ("tombstone", "installation", "integration")
        return parts | {key for key, item in backed_up.items() if item["type"]["S"] in kinds}

    def parts(self, backed_up: Items, *workflows: str) -> set[Key]:
        """Returns the keys of workflows and of their pointers."""
        return {key for key, item in backed_up.items() if item.get("workflowId", {}).get("S") in workflows}

    def lose_installations(self, backed_up: Items) -> None:
        """Selects what is lost of the installations."""
        key = self.installations
        whole = {name: self.parts(backed_up, *ids) | {key[name]} for name, ids in self.installed.items()}
        self.undecided = whole["lost"] | whole["reinstalled"]
        self.proven = {
            key["left"],
            key["reduced"],
            # Without the pointers.
            *((pk, sk) for pk, sk in whole["pointed"] if not sk.startswith("workflow#")),
            *self.parts(backed_up, self.installed["kept"][0], self.installed["left"][0], self.installed["grown"][1]),
        }
        # The installations that exist show by themselves that these were deleted.
        tombstone = f"env#{self.environment.id}#workflow#{self.installed['shrunk'][0]}#deleted"
        partition, name = key["replaced"]
        recreated = f"env#{self.environment.id}#workflow#{self.installed['recreated'][0]}"
        self.directory.lose([(tombstone, "workflow"), (f"{partition}#deleted", name), (recreated, "workflow")])

    def key_of_user(self, user: str) -> Key:
        """Returns the key of a user's item."""
        return f"env#{self.environment.id}#user#{user}", "user"

    def key_of_events(self, user: str) -> str:
        """Returns the partition of a user's events."""
        return f"{self.key_of_user(user)[0]}#events"

    def items(self, tables: Tables) -> Items:
        """Returns the items of the environment in the stack."""
        prefix = f"env#{self.environment.id}"
        if tables is self.directory:
            condition = "begins_with(pk, :prefix) OR environmentId = :id"
            return tables.scan(tables.live, condition, prefix=prefix, id=self.environment.id)
        # Other tests leave so many errors that a scan is slow.
        owners = [f"{prefix}#workflow#{id_}" for id_ in self.workflows]
        owners += [self.key_of_events(user) for user in (self.joe, self.former)]
        records = [f"{owner}{kind}" for owner in owners for kind in ("", "#deliveries")]
        destinations = (self.destination, self.bus_destination, self.failing_destination, self.listening)
        deliveries = [
            partition
            for id_ in destinations
            for kind in ("attempts", "pending")
            for partition in delivery_partitions(self.environment.id, id_, kind)
        ]
        return {key: item for pk in records + deliveries for key, item in tables.partition(pk).items()}

    def snapshot(self) -> list[Any]:
        """Returns all that the API shows."""
        paths = [
            "/environment",
            "/users?limit=100",
            "/users/another",
            "/users/JOE@acme.example",
            "/destinations",
            f"/users/{self.joe}/credentials",
            f"/users/{self.joe}/installations?limit=100",
            f"/workflows?userId={self.joe}&limit=100",
            *(f"/integrations/orders-{number}" for number in range(4)),
            *(f"/workflows/{workflow}/errors?until={self.changed_at}" for workflow in self.workflows[:2]),
            f"/events?userId={self.joe}&until={self.changed_at}&limit=100",
            f"/events?userId={self.former}&type=user.deleted",
        ]
        return [settings(self.environment.backend.call("GET", path).body) for path in paths]

    def record(self, workflow: str, count: int) -> list[str]:
        """Records errors. Returns their ids."""
        errors = [
            {"executionId": "1", "blockId": "2", "blockType": "alloy.shopify", "error": f"Error: {number}"}
            for number in range(count)
        ]
        answer = self.environment.engine.call("POST", f"/workflows/{workflow}/errors", {"errors": errors})
        assert answer.status == 202, answer
        return answer.body["ids"]

    def new_credential(self, user: str, name: str) -> str:
        """Creates a credential and returns its id."""
        body = {"type": "shopify", "name": name, "data": {"token": f"token of {name}"}}
        return self.environment.call("POST", f"/users/{user}/credentials", body, 201)["credentialId"]

    def new_workflow(self, user: str, name: str) -> str:
        """Creates a workflow and returns its id."""
        return self.environment.call("POST", "/workflows", {"userId": user, "name": name}, 201)["workflowId"]

    def new_key(self, name: str) -> str:
        """Creates an API key."""
        return tenon.make_key(self.emulator, self.stack, self.environment.id, name, ["manage"])

    def key_id(self, name: str) -> str:
        """Returns the id of an API key."""
        return next(key["keyId"] for key in self.invoke("KeysList")["keys"] if key["name"] == name)

    def invoke(self, function: str, **payload: str) -> dict[str, Any]:
        """Invokes an administration function."""
        payload["environmentId"] = self.environment.id
        return tenon.invoke(self.emulator, self.stack.outputs[function], payload)

    def is_delivered(self, destination: str) -> bool:
        """Whether the first attempts of all errors are stored."""
        prefix = f"env#{self.environment.id}#workflow"
        stored = [self.errors.partition(f"{prefix}#{workflow}#deliveries") for workflow in self.workflows]
        found = [item for items in stored for item in items.values() if item["destinationId"]["S"] == destination]
        return sum(len(item["attempts"]["M"]) for item in found) == 20

    def heard(self) -> int:
        """Returns the number of events whose first attempts at the listener are stored."""
        stored = self.errors.partition(f"{self.key_of_events(self.joe)}#deliveries").values()
        return sum(len(item["attempts"]["M"]) for item in stored)


def settings(value: Any) -> Any:
    """Returns a body without what changes when destinations are used."""
    if isinstance(value, dict):
        return {name: settings(member) for name, member in value.items() if name not in HEALTH}
    return [settings(member) for member in value] if isinstance(value, list) else value


@pytest.fixture(scope="module", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets the command leave its files with all keys in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("restore")))
        yield


@pytest.fixture(scope="module")
def accident(emulator: Emulator, stack: Stack) -> Iterator[Accident]:
    """An environment that has lost half of its items."""
    with Endpoint(answers=[204]) as webhook, Endpoint(answers=[500]) as failing, Endpoint(answers=[204]) as listener:
        bus = make_bus(emulator, "tenon-test-restore")
        made = Accident(emulator, stack, Environment(emulator, stack), [webhook, failing, listener], bus)
        yield made
        made.run_drains(enabled=True)
    for tables in (made.directory, made.errors):
        tables.dynamodb.delete_table(TableName=tables.restored)


@pytest.fixture(scope="module")
def restored(accident: Accident) -> Accident:
    """The environment with everything that was restored."""
    for tables in (accident.directory, accident.errors):
        code, output = tables.restore(APPLY="1", DELETED="restore")
        assert code == 0, output
    return accident


# The following three tests come first: they restore none or some of the items.


def test_a_comparison_changes_nothing_and_asks_for_a_decision(accident: Accident) -> None:
    for tables in (accident.directory, accident.errors):
        before = accident.items(tables)
        code, output = tables.restore()
        assert code == 1, output
        assert "items may have been deleted on purpose" in output
        assert "DELETED=restore copies them" in output
        assert accident.items(tables) == before
        if tables is accident.directory:
            assert not [line for line in SKIPPED if f"skipped: {line}\n" not in output], output
        else:
            assert "skipped: 3 event (erased)\n" in output, output
            assert "skipped: 1 delivered (no record)\n" in output, output
    code, output = accident.errors.restore(DELETED="keep")
    assert code == 0, output


def test_without_a_decision_only_proven_losses_are_copied(accident: Accident) -> None:
    tables, backed_up = accident.directory, accident.directory.scan(accident.directory.restored)
    before = accident.items(tables)
    code, output = tables.restore(APPLY="1")
    assert code == 1, output
    copied = accident.items(tables).keys() - before.keys()
    assert copied
    # Of each user that was copied a name was left, and of each name its user.
    for key in copied:
        item = backed_up[key]
        if item["type"]["S"] in ("user", "nameClaim"):
            user = item["userId"]["S"]
            left = [other for other in before.values() if other.get("userId") == {"S": user}]
            assert any(other["type"]["S"] in ("user", "nameClaim") for other in left), key
    assert not any(backed_up[key]["type"]["S"] in ("credential", "destination") for key in copied)
    assert accident.proven <= copied
    assert not accident.undecided & copied
    live = accident.items(tables)
    grown = accident.installations["grown"]
    assert backed_up[grown] != before[grown]
    assert backed_up[grown] == live[grown]
    # Only the number of times that it was named is another one.
    assert backed_up[accident.credential] != before[accident.credential]
    assert live[accident.credential] == before[accident.credential]


def test_an_interrupted_restore_is_continued(accident: Accident) -> None:
    tables = accident.directory
    before = len(accident.items(tables))
    process = tables.command(APPLY="1", DELETED="restore")

    def has_copied() -> bool:
        # Stopped in the meantime, so that it does not finish while the table is read.
        process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        found = len(accident.items(tables)) > before
        if not found:
            process.send_signal(signal.SIGCONT)
            # As long as the read took: on a slow machine, both take longer.
            time.sleep(time.monotonic() - started)
        return found

    try:
        assert process.stdout
        assert any(line.startswith("Copying") for line in process.stdout)
        wait(has_copied, "something is copied", pause=0)
    finally:
        process.kill()
        process.communicate()
    assert set(accident.lost["directory"]) - accident.items(tables).keys()

    code, output = tables.restore(APPLY="1", DELETED="restore")
    assert code == 0, output
    assert not set(accident.lost["directory"]) - accident.items(tables).keys()


def test_a_restored_deletion_completes_and_its_receipt_has_exact_counts(restored: Accident) -> None:
    path = f"/events?userId={restored.unfinished}&type=user.deleted"
    wait(lambda: restored.environment.call("GET", path)["data"] != [], "it completes")
    [receipt] = restored.environment.call("GET", path)["data"]
    assert receipt["data"]["counts"] == {"workflows": 0, "credentials": 2, "installations": 0}


def test_restored_errors_and_events_are_complete_and_not_delivered(restored: Accident) -> None:
    tables = restored.errors
    live, backed_up = restored.items(tables), tables.scan(tables.restored)
    expected = {key: complete(item) for key, item in backed_up.items()}
    records = {key for key in expected if key in live and expected[key]["type"]["S"] in RECORDS}
    delivered = {key for key in restored.lost["errors"] if expected[key]["type"]["S"] == "delivered"}
    assert records >= {key for key in restored.lost["errors"] if expected[key]["type"]["S"] in RECORDS}
    for key in records | delivered:
        assert live[key] == expected[key]
    for endpoint in (restored.webhook, restored.listener):
        while endpoint.receive(0):
            pass
    # The stream is processed in order: a new error arrives after any that were restored.
    [recorded] = restored.record(restored.workflows[0], 1)
    received = restored.webhook.receive(PATIENCE)
    assert received
    verified = standardwebhooks.Webhook(restored.secret).verify(received.body, received.headers)
    assert verified["_id"] == recorded
    credential = restored.new_credential(restored.joe, "new shop")
    received = restored.listener.receive(PATIENCE)
    assert received
    event = json.loads(received.body)
    assert (event["type"], event["data"]["credentialId"]) == ("credential.created", credential)
    restored.environment.call("DELETE", f"/users/{restored.joe}/credentials/{credential}")


def test_a_repeated_restore_changes_nothing(restored: Accident) -> None:
    def unattended(tables: Tables) -> Items:
        # A drain changes the health of a destination at any time.
        return {key: item for key, item in restored.items(tables).items() if not key[1].startswith("health#")}

    for tables in (restored.directory, restored.errors):
        before = unattended(tables)
        code, output = tables.restore(APPLY="1", DELETED="restore")
        assert code == 0, output
        assert "Copied 0 items." in output, output
        assert unattended(tables) == before


def test_the_api_shows_everything_as_before(restored: Accident) -> None:
    assert restored.snapshot() == restored.shown
    count = (f"env#{restored.environment.id}#destinations", "count")
    assert restored.items(restored.directory)[count]["destinations"] == {"N": "4"}
    token = restored.environment.call("GET", f"/users/{restored.joe}/token")["token"]
    assert tenon.Api(restored.stack.url, token).call("GET", "/session").status == 200


def test_restored_secrets_can_be_used(restored: Accident) -> None:
    for number, credential in enumerate(restored.credentials[:3]):
        path = f"/users/{restored.joe}/credentials/{credential}/reveal"
        revealed = restored.environment.engine.call("POST", path)
        assert revealed.status == 200, revealed
        assert revealed.body["data"] == {"token": f"token of shop {number}"}
    [recorded] = restored.record(restored.workflows[1], 1)
    # Earlier errors may arrive late.
    while (event := restored.bus.receive(PATIENCE)) and event["detail"]["_id"] != recorded:
        pass
    assert event


def test_deletions_and_revocations_are_not_reverted(restored: Accident) -> None:
    def status(method: str, path: str) -> int:
        return restored.environment.backend.call(method, path).status

    assert status("GET", f"/users/{restored.deleted}") == 404
    assert status("GET", "/users/deleted") == 404
    assert status("GET", f"/users/{restored.joe}/credentials/{restored.credentials[3]}") == 404
    assert status("GET", f"/workflows/{restored.workflows[3]}") == 404
    assert status("GET", f"/destinations/{restored.deleted_destination}") == 404
    assert status("GET", "/users/renamed") == 404
    assert restored.environment.call("GET", f"/users/{restored.disabled}")["status"] == "disabled"
    assert restored.revoked.call("GET", "/environment").status in (401, 403)
    assert status("GET", f"/users/{restored.joe}/installations/uninstalled") == 404
    deleted = [restored.installed[name][0] for name in ("reduced", "shrunk", "recreated")]
    deleted += [id_ for name in ("uninstalled", "replaced", "of-deleted") for id_ in restored.installed[name]]
    assert {status("GET", f"/workflows/{id_}") for id_ in deleted} == {404}
    listed = restored.items(restored.directory)[restored.installations["reduced"]]["workflows"]["L"]
    assert [workflow["M"]["workflowId"]["S"] for workflow in listed] == restored.installed["reduced"][1:]
    recreated = restored.environment.call("GET", f"/users/{restored.renamed}/installations/recreated")
    assert sorted(workflow["key"] for workflow in recreated["workflows"]) == sorted(KEYS)
    # The former name of a workflow stays free.
    named = {"userId": restored.joe, "name": restored.former_name}
    restored.environment.call("POST", "/workflows", named, 201)
    partition, _ = restored.key_of_user(restored.deleted)
    assert not [key for key in restored.items(restored.directory) if key[0] == partition]


def test_pending_deliveries_are_restored_as_cancelled_and_can_be_replayed(restored: Accident) -> None:
    deliveries = restored.deliveries()
    lost = deliveries.keys() & set(restored.lost["errors"])
    assert {deliveries[key] for key in lost} == {"cancelled"}
    assert any("#user#" in sk for _, sk in lost)
    # The health of the destination was lost with the lease of its drain, in an outage of four days.
    health = restored.items(restored.directory)[restored.health]
    assert not health.keys() & {"leasedUntil", "outageSince"}
    assert health.keys() >= {"lastFailureAt", "failingSince", "consecutiveFailures"}
    # Their records are read between the two writes of a copy too.
    rules, items = restored.rules_of_errors(), restored.items(restored.errors)
    for record in {record for key in lost for record in rules.keys_of_records(items[key])}:
        restoring = {"S": RECORDS[items[record]["type"]["S"]]}
        restored.errors.dynamodb.put_item(TableName=restored.errors.live, Item={**items[record], "type": restoring})
    restored.failing.answers[:] = [204]
    restored.run_drains(enabled=True)
    path = f"/destinations/{restored.failing_destination}"
    restored.environment.call("POST", f"{path}/replay", {"cancelled": True}, 202)
    wait(lambda: {restored.deliveries()[key] for key in lost} == {"delivered"}, "they are delivered")


def test_damaged_items_are_named_and_keep_no_other_from_being_restored(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    call, tables = environment.call, Tables(emulator, stack, "directory", "damaged-restored")
    joe, jim, ann = (call("POST", "/users", {"username": name}, 201)["userId"] for name in ("joe", "jim", "ann"))
    overwritten, stripped, renamed, followed = (
        call("POST", "/workflows", {"userId": joe, "name": name}, 201)["workflowId"]
        for name in ("overwritten", "stripped", "former name", "taken name")
    )
    of_workflow = {
        id_: (f"env#{environment.id}#workflow#{id_}", "workflow") for id_ in (overwritten, stripped, renamed, followed)
    }
    of_user = {id_: (f"env#{environment.id}#user#{id_}", "user") for id_ in (joe, jim, ann)}
    names = [f"env#{environment.id}#name#{name}" for name in ("joe", "jim", "ann", "eve")]
    partitions = [*(pk for pk, _ in (*of_workflow.values(), *of_user.values())), *names]

    def items() -> Items:
        return {key: item for pk in partitions for key, item in tables.partition(pk).items()}

    def put(item: dict[str, Any]) -> None:
        tables.dynamodb.put_item(TableName=tables.live, Item=item)

    before = items()
    call("PATCH", f"/workflows/{renamed}", {"name": "present name"})
    # Others have the former names of these.
    call("PATCH", f"/workflows/{followed}", {"name": "own name"})
    call("POST", "/workflows", {"userId": joe, "name": "taken name"}, 201)
    call("PATCH", f"/users/{ann}", {"username": "eve"})
    call("POST", "/users", {"username": "ann"}, 201)
    intact = items()
    tables.back_up(intact)
    put({**intact[of_workflow[overwritten]], "settings": {"S": '{"n": 1}'}})
    put({name: value for name, value in intact[of_workflow[stripped]].items() if name != "revision"})
    put({**intact[of_user[jim]], "version": {"S": "x"}})
    put({name: value for name, value in intact[of_user[joe]].items() if name != "version"})
    tables.lose(key for key in intact if key[0] == names[0])
    # An old export was imported again.
    for key in (of_workflow[renamed], of_workflow[followed], of_user[ann]):
        put(before[key])
    [(pointer, former)] = ((key, item) for key, item in before.items() if key not in intact)
    put(former)

    code, output = tables.restore(APPLY="1", DELETED="restore")
    assert code == 1, output
    assert "1 items have the version of the restored ones, with other content:\n" in output, output
    assert f"  workflow {' '.join(of_workflow[overwritten])}\n" in output, output
    assert "1 user (it or an item that belongs to it is damaged: ValueError in order)\n" in output, output
    assert f"  user {' '.join(of_user[jim])}\n" in output, output
    assert "changed meanwhile" not in output, output
    live, wrong = items(), {of_workflow[overwritten], of_user[jim]}
    assert {key for key in live.keys() | intact.keys() if live.get(key) != intact.get(key)} == wrong
    assert pointer not in live

    # As docs/operations.md says.
    tables.lose([of_workflow[overwritten], of_user[jim]])
    code, output = tables.restore(APPLY="1", DELETED="restore")
    assert code == 0, output
    assert items() == intact
    tables.dynamodb.delete_table(TableName=tables.restored)


def test_names_that_were_given_since_the_backup_stay_usable(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    call, tables = environment.call, Tables(emulator, stack, "directory", "names-restored")
    renamed, replaced, owner, older = (
        call("POST", "/users", {"username": name}, 201)["userId"] for name in ("renamed", "replaced", "owner", "former")
    )
    damaged = call("POST", "/users", {"email": "damaged@acme.example"}, 201)["userId"]
    of_older, former = (f"env#{environment.id}#user#{older}", "user"), (f"env#{environment.id}#name#former", "claim")
    before = {**tables.partition(of_older[0]), **tables.partition(former[0])}
    call("PATCH", f"/users/{older}", {"username": "latter"})
    workflow, taken = (
        call("POST", "/workflows", {"userId": owner, "name": name}, 201)["workflowId"] for name in ("Alpha", "Gamma")
    )
    prefix = f"env#{environment.id}"
    tables.back_up(tables.scan(tables.live, "begins_with(pk, :prefix)", prefix=prefix))
    call("PATCH", f"/users/{renamed}", {"username": "since"})
    call("PATCH", f"/workflows/{workflow}", {"name": "Beta"})
    tables.lose([(f"{prefix}#user#{renamed}", "user"), (f"{prefix}#workflow#{workflow}", "workflow")])
    # These were lost, and created again by others.
    tables.lose([(f"{prefix}#user#{replaced}", "user"), (f"{prefix}#name#replaced", "claim")])
    tables.lose([(f"{prefix}#workflow#{taken}", "workflow"), (f"{prefix}#user#{owner}", "workflow#Gamma")])
    # As of an earlier restore.
    for key in (of_older, former):
        tables.dynamodb.put_item(TableName=tables.live, Item=before[key])
    tables.lose([(f"{prefix}#name#latter", "claim")])
    third_user = call("POST", "/users", {"username": "latter"}, 201)["userId"]
    # A damaged user keeps its names.
    of_damaged, address = f"{prefix}#user#{damaged}", f"{prefix}#name#damaged@acme.example"
    [item] = tables.partition(of_damaged).values()
    tables.dynamodb.put_item(TableName=tables.live, Item={**item, "email": {"NULL": True}})
    other_user = call("POST", "/users", {"username": "Replaced"}, 201)["userId"]
    other_workflow = call("POST", "/workflows", {"userId": owner, "name": "Gamma"}, 201)["workflowId"]

    code, output = tables.restore(APPLY="1", DELETED="restore")

    assert code == 1, output
    assert "3 items have a name that something else in the stack has:\n" in output, output
    assert f"  user {' '.join(of_older)}\n" in output, output
    assert f"  user {of_damaged} user\n" in output, output
    assert tables.partition(address)
    assert f"  user {prefix}#user#{replaced} user\n" in output, output
    assert f"  workflow {prefix}#workflow#{taken} workflow\n" in output, output
    assert "Released 1 names that restored users no longer have.\n" in output, output
    assert call("GET", "/users/renamed")["userId"] == renamed
    call("POST", "/users", {"username": "since"}, 201)
    assert call("GET", f"/workflows/{workflow}")["name"] == "Alpha"
    call("POST", "/workflows", {"userId": owner, "name": "Beta"}, 201)

    # As docs/operations.md says.
    call("PATCH", f"/users/{other_user}", {"username": "another"})
    call("DELETE", f"/users/{third_user}")
    tables.dynamodb.put_item(TableName=tables.live, Item=item)
    call("DELETE", f"/workflows/{other_workflow}")
    code, output = tables.restore(APPLY="1", DELETED="restore")
    assert code == 0, output
    assert call("GET", "/users/replaced")["userId"] == replaced
    assert call("GET", "/users/latter")["userId"] == older
    assert call("GET", f"/workflows/{taken}")["name"] == "Gamma"
    tables.dynamodb.delete_table(TableName=tables.restored)


def test_an_erasure_that_starts_while_an_error_is_copied_keeps_it_from_being_restored(accident: Accident) -> None:
    backed_up = accident.errors.scan(accident.errors.restored)
    rules = accident.rules_of_errors()
    error = next(item for item in backed_up.values() if item["type"]["S"] == "error")
    # It is missing, and nothing was erased when the copy began.
    error = {**error, "sk": {"S": "another"}, "userId": {"S": "0" * 24}}
    writes = rules.writes(error, None)
    accident.put(accident.directory.live, "erasures", "erasure", "0" * 24, type="erased")
    with pytest.raises(rules.live.dynamodb.exceptions.TransactionCanceledException):
        rules.transact(writes)


def test_claims_of_names_are_computed_as_the_api_stores_them(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    addresses = [
        "Joe@Acme.example", "Strauß@straße.example", "a@νόμος.gr", "b@bücher。example", '"c.d"@acme.example',
        '"e f"@acme.example', "jose\u0301@acme.example", "ΌΔΟΣ@acme.example", "g@xn--bcher-kva.example",
    ]  # fmt: skip
    tables = Tables(emulator, stack, "directory")
    for address in addresses:
        body = environment.call("POST", "/users", {"email": address}, 201)
        items = tables.partition(f"env#{environment.id}#user#{body['userId']}").values()
        [user] = [item for item in items if item["type"]["S"] == "user"]
        keys = claims(user)
        assert len(keys) == 2, address
        for pk, _ in keys:
            [claim] = tables.partition(pk).values()
            assert claim["userId"] == user["userId"], address
