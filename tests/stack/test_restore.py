"""Restores of lost items: an environment loses half of its items, and gets them back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import standardwebhooks
import tenon
from conftest import Environment, NewEnvironment
from customer import Bus, Endpoint, make_bus
from emulator import REGION, ROOT, Emulator
from stack import STACK, Stack

# Number of users of which nothing else is tested. Copying them takes long enough to be interrupted.
CROWD = 300
# Seconds within which everything happens, on a busy machine too.
PATIENCE = 120


class Tables:
    """A table of the stack, and its state before the accident."""

    def __init__(self, emulator: Emulator, stack: Stack, name: str) -> None:
        self.dynamodb, self.name = emulator.client("dynamodb"), name
        self.live, self.restored = stack.outputs[f"{name.title()}Table"], f"{name}-restored"

    def back_up(self) -> None:
        """Restores the present state into a new table."""
        self.dynamodb.restore_table_to_point_in_time(
            SourceTableName=self.live, TargetTableName=self.restored, UseLatestRestorableTime=True
        )

    def items(self, table: str, prefix: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Returns the items of a table whose partition keys begin with a text."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=table,
            ConsistentRead=True,
            FilterExpression="begins_with(pk, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": prefix}},
        )
        return {(item["pk"]["S"], item["sk"]["S"]): item for page in pages for item in page["Items"]}

    def lose(self, keys: list[tuple[str, str]]) -> None:
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
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output


class Accident:
    """An environment that was backed up, changed, and lost half of what was backed up."""

    def __init__(self, emulator: Emulator, stack: Stack, environment: Environment, webhook: Endpoint, bus: Bus) -> None:
        self.emulator, self.stack, self.environment = emulator, stack, environment
        self.webhook, self.bus = webhook, bus
        self.directory, self.errors = (Tables(emulator, stack, name) for name in ("directory", "errors"))
        self.fill()
        self.directory.back_up()
        self.errors.back_up()
        self.change()
        self.shown = self.snapshot()
        self.lost = {tables.name: self.lose_half(tables) for tables in (self.directory, self.errors)}

    def fill(self) -> None:
        """Stores something of each kind through the API."""
        call = self.environment.call
        self.joe, self.deleted, self.disabled, self.renamed = (
            call("POST", "/users", {"username": name, "email": f"{name}@ACME.example"}, 201)["userId"]
            for name in ("joe", "deleted", "disabled", "renamed")
        )
        users = [{"username": f"user-{number}"} for number in range(CROWD)]
        call("POST", "/users/batch", {"users": users})
        self.credentials = [self.new_credential(self.joe, f"shop {number}") for number in range(4)]
        self.new_credential(self.deleted, "shop of a deleted user")
        self.workflows = [self.new_workflow(self.joe, f"sync {number}") for number in range(4)]
        self.new_workflow(self.deleted, "sync of a deleted user")
        settings = {"type": "webhook", "url": self.webhook.url}
        made = call("POST", "/destinations", settings, 201)
        self.secret, self.destination = made["secret"], made["destinationId"]
        self.bus_destination = call("POST", "/destinations", self.bus_settings(), 201)["destinationId"]
        self.deleted_destination = call("POST", "/destinations", {**settings, "enabled": False}, 201)["destinationId"]
        self.revoked = tenon.Api(self.stack.url, self.new_key("revoked"))
        for workflow in self.workflows[:2]:
            self.record(workflow, 10)
        self.wait("all errors are delivered", lambda: self.webhook.received.qsize() == 20)
        self.wait("they are recorded as delivered", lambda: self.is_delivered(self.destination))

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
        call("DELETE", f"/users/{self.deleted}")
        call("POST", f"/users/{self.disabled}/disable")
        call("PATCH", f"/users/{self.renamed}", {"username": "another"})
        call("DELETE", f"/users/{self.joe}/credentials/{self.credentials[3]}")
        call("DELETE", f"/workflows/{self.workflows[3]}")
        call("DELETE", f"/destinations/{self.deleted_destination}")
        self.invoke("KeysRevoke", keyId=self.key_id("revoked"))
        deletion = (f"env#{self.environment.id}#deletions", f"deletion#{self.deleted}")
        self.wait("the deletion is complete", lambda: deletion not in self.items(self.directory))

    def lose_half(self, tables: Tables) -> list[tuple[str, str]]:
        """Deletes every second item that was backed up and still exists."""
        backed_up = tables.items(tables.restored, f"env#{self.environment.id}").keys()
        lost = sorted(backed_up & self.items(tables).keys())[::2]
        # And each kind of item that an odd number hides.
        tables.lose(lost)
        return lost

    def items(self, tables: Tables) -> dict[tuple[str, str], dict[str, Any]]:
        """Returns the items of the environment in the stack."""
        return tables.items(tables.live, f"env#{self.environment.id}")

    def snapshot(self) -> list[Any]:
        """Returns all that the API shows."""
        paths = [
            "/environment",
            "/users?limit=500",
            "/users/another",
            "/users/JOE@acme.example",
            "/destinations",
            f"/users/{self.joe}/credentials",
            f"/workflows?userId={self.joe}",
            *(f"/workflows/{workflow}/errors" for workflow in self.workflows[:2]),
        ]
        return [without_health(self.environment.backend.call("GET", path).body) for path in paths]

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
        answer = self.emulator.client("lambda").invoke(
            FunctionName=self.stack.outputs[function], Payload=json.dumps(payload)
        )
        return json.loads(answer["Payload"].read())

    def is_delivered(self, destination: str) -> bool:
        """Whether the first attempts of all errors are stored."""
        stored = [item for item in self.items(self.errors).values() if item["type"]["S"] == "delivered"]
        found = [item for item in stored if item["destinationId"]["S"] == destination]
        return sum(len(item["attempts"]["M"]) for item in found) == 20

    def wait(self, until: str, holds: Callable[[], bool]) -> None:
        """Waits until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {until}"
            time.sleep(0.05)


def without_health(value: Any) -> Any:
    """Returns a body without the health of destinations, which changes with each delivery."""
    if isinstance(value, dict):
        return {name: without_health(member) for name, member in value.items() if name != "health"}
    return [without_health(member) for member in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def accident(emulator: Emulator, stack: Stack) -> Iterator[Accident]:
    """An environment that has lost half of its items."""
    with Endpoint(answers=[204]) as webhook:
        bus = make_bus(emulator, "tenon-test-restore")
        made = Accident(emulator, stack, Environment(emulator, stack), webhook, bus)
        yield made
    for tables in (made.directory, made.errors):
        tables.dynamodb.delete_table(TableName=tables.restored)


def test_a_comparison_changes_nothing_and_asks_for_a_decision(accident: Accident) -> None:
    for tables in (accident.directory, accident.errors):
        before = accident.items(tables)
        code, output = tables.restore()
        assert code == 1, output
        print(output)
        assert "may have been deleted on purpose" in output
        assert "Decide: DELETED=restore" in output
        assert accident.items(tables) == before
