"""Runs the engines of docs/engine.md against the deployed stack, with users and a shop."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
import tenon
from deployed import Environment, NewEnvironment
from emulator import free_port
from guides import post, program, serving
from serving import Request, Response, Server
from stack import Stack
from waiting import wait

INTEGRATION = {
    "name": "Shopify orders",
    "credentialTypes": [
        {
            "type": "shopify",
            "name": "Shopify",
            "fields": [
                {"name": "shop", "label": "Shop", "type": "url", "required": True},
                {"name": "token", "label": "Access token", "type": "secret", "required": True},
            ],
        }
    ],
    "workflows": [{"key": "orders", "name": "Orders to Shopify"}, {"key": "stock", "name": "Stock levels"}],
}
# Events that make an engine run a workflow.
STARTING = [
    "workflow.created",
    "workflow.activated",
    "workflow.updated",
    "credential.created",
    "credential.replaced",
    "user.enabled",
]


class Shop(Server):
    """Third party on loopback. Counts the requests of each token, and rejects some with 401."""

    methods = ("GET",)

    def __init__(self) -> None:
        super().__init__()
        self.requests = Counter[str]()
        self.rejected = dict[str, Callable[[], object]]()

    def respond(self, request: Request) -> Response:
        """Counts a request, and rejects it if its token is rejected."""
        token = request.headers["authorization"].removeprefix("Bearer ")
        if token in self.rejected:
            self.rejected[token]()
        self.requests[token] += 1
        return Response(401 if token in self.rejected else 200, {}, b"")

    def data(self, token: str) -> dict[str, str]:
        """Returns the data of a credential with a token."""
        return {"shop": self.origin, "token": token}


class Customer:
    """Environment with an engine and its webhook, and a user `ben` whose workflow always runs."""

    def __init__(self, environment: Environment, url: str, shop: Shop, command: list[str], folder: Path) -> None:
        self.environment, self.url, self.shop, self.command = environment, url, shop, command
        self.call, self.port, self.output = environment.call, free_port(), folder / "output"
        self.engine = ExitStack()
        for integration in ("shopify-orders", "other"):
            self.call("PUT", f"/integrations/{integration}", INTEGRATION, 201)
        for name in ("anna", "ben"):
            self.call("POST", "/users", {"username": name}, 201)
        # Before the webhook exists, so that only the list of workflows has them.
        self.install("ben", "of ben", 201)
        self.make_foreign_workflows("ben")
        events = ["workflow.*", "credential.*", "user.*"]
        body = {"type": "webhook", "url": f"http://127.0.0.1:{self.port}/events", "events": events}
        self.webhook = self.call("POST", "/destinations", body, 201)

    def start(self) -> None:
        """Starts the engine; again, without its state, if it is running."""
        self.engine.close()
        settings = {
            "TENON_URL": self.url,
            "TENON_ENGINE_KEY": self.environment.engine_key,
            "WEBHOOK_SECRET": self.webhook["secret"],
            "PORT": str(self.port),
            "INTERVAL": "0.2",
        }
        self.engine.enter_context(serving(self.command, {**os.environ, **settings}, self.port, self.output))

    def install(
        self, user: str, token: str, status: int = 200, *, integration: str = "shopify-orders", key: str = "orders"
    ) -> dict:
        """Installs a workflow of an integration, or connects the shop again, as the user."""
        api = tenon.Api(self.url, self.call("POST", f"/users/{user}/token", {})["token"])
        body = {"credentials": {"shopify": {"data": self.shop.data(token)}}, "workflows": [key]}
        answer = api.call("PUT", f"/users/{user}/installations/{integration}", body)
        assert answer.status == status, answer
        return answer.body

    def make_foreign_workflows(self, user: str) -> None:
        """Creates workflows that the engine does not implement, with the token `foreign`."""
        self.install(user, "foreign", 201, integration="other")
        owner = f"{user}-foreign"
        self.call("POST", "/users", {"username": owner}, 201)
        installed = self.install(owner, "foreign", 201, key="stock")
        own = {"userId": owner, "credentialIds": list(installed["credentialIds"].values())}
        self.call("POST", "/workflows", {**own, "name": "without an integration"}, 201)
        self.call("POST", "/workflows", {**own, "name": "without a key", "integrationId": "shopify-orders"}, 201)

    def events(self, user: str, *types: str) -> list[dict]:
        """Returns the events of a user, newest first; all or those of some types."""
        found = self.call("GET", f"/events?userId={user}&limit=100")["data"]
        return [event for event in found if not types or event["type"] in types]

    def wait_until_delivered(self, user: str, event_type: str, count: int = 1) -> None:
        """Waits until a user has a number of events of a type and the engine has all of them."""

        def is_delivered(event: dict) -> bool:
            if event["type"].startswith("installation."):
                return True
            deliveries = self.call("GET", f"/events/{event['_id']}")["deliveries"]
            return [delivery["status"] for delivery in deliveries] == ["delivered"]

        def holds() -> bool:
            return len(self.events(user, event_type)) >= count and all(map(is_delivered, self.events(user)))

        wait(holds, f"{count} events {event_type} are delivered")

    def wait_for_run(self, token: str) -> None:
        """Waits until the engine has run a workflow with a token once more."""
        before = self.shop.requests[token]
        wait(lambda: self.shop.requests[token] > before, f"a run with the token {token!r}")

    def assert_not_run(self, token: str) -> None:
        """Asserts that the engine no longer uses a token, while it runs the workflow of ben."""
        # A round that has begun before can still use it. It ends before the second run of ben.
        for _ in range(2):
            self.wait_for_run("of ben")
        before = self.shop.requests[token]
        for _ in range(3):
            self.wait_for_run("of ben")
        assert self.shop.requests[token] == before, token

    def send(self, event: dict, **headers: str) -> int:
        """Sends an event to the engine again, signed. Returns the status of the response."""
        body, now = json.dumps(event), str(int(time.time()))
        headers = {"webhook-id": event["_id"], "webhook-timestamp": now, "content-type": "application/json", **headers}
        at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        signature = standardwebhooks.Webhook(self.webhook["secret"]).sign(event["_id"], at, body)
        return post(self.port, {"webhook-signature": signature, **headers}, body.encode())

    def send_starting_events(self, user: str) -> None:
        """Sends all earlier events of a user again that once made the engine run a workflow."""
        stale = self.events(user, *STARTING)
        assert stale
        assert {self.send(event) for event in stale} == {204}


@pytest.fixture(params=[("python", "engine.py"), ("js", "engine.mjs")], ids=["python", "js"])
def customer(
    request: pytest.FixtureRequest, new_environment: NewEnvironment, stack: Stack, tmp_path: Path
) -> Iterator[Customer]:
    """A customer who runs an engine of the page."""
    command = program(tmp_path, *request.param)
    with Shop() as shop:
        customer = Customer(new_environment(), stack.url, shop, command, tmp_path)
        with customer.engine:
            customer.start()
            yield customer
    assert shop.requests["foreign"] == 0


def test_engine_runs_workflows_as_events_say(customer: Customer) -> None:
    # The workflow of ben is in the list that the engine reads first, that of anna in an event.
    customer.wait_for_run("of ben")
    installed = customer.install("anna", "first", 201)
    credential = f"/users/anna/credentials/{installed['credentialIds']['shopify']}"
    [workflow] = [workflow["workflowId"] for workflow in installed["workflows"]]
    customer.wait_for_run("first")
    received = {"received workflow.created", "received credential.created"}
    wait(lambda: received <= set(customer.output.read_text().splitlines()), "the engine has received both events")

    # The shop rejects the token: the engine records an error, and marks the credential as invalid.
    customer.shop.rejected["first"] = lambda: None
    wait(lambda: customer.call("GET", credential)["status"] == "invalid", "the credential is invalid")
    customer.assert_not_run("first")
    assert "401" in customer.call("GET", credential)["statusReason"]
    errors = customer.call("GET", f"/workflows/{workflow}/errors")["errors"]
    assert errors
    assert all("401" in error["error"] for error in errors)

    # After a restart, the engine reads which credentials are invalid, and does not use this one.
    before = customer.shop.requests["first"]
    customer.start()
    customer.assert_not_run("first")
    assert customer.shop.requests["first"] == before

    # The user connects again.
    customer.install("anna", "second")
    customer.wait_for_run("second")
    assert customer.call("GET", credential)["status"] == "valid"

    # The user connects again before the engine sees the rejection of the previous token.
    customer.shop.rejected["second"] = lambda: customer.install("anna", "third")
    customer.wait_for_run("third")
    assert customer.call("GET", credential)["status"] == "valid"
    assert len(customer.events("anna", "credential.invalid")) == 1

    # Late events do not undo newer ones.
    switch = {"userId": "anna", "workflowId": workflow}
    customer.call("PUT", "/workflows/deactivate", switch)
    customer.wait_until_delivered("anna", "workflow.deactivated")
    customer.send_starting_events("anna")
    customer.assert_not_run("third")
    customer.call("PUT", "/workflows/activate", switch)
    customer.wait_for_run("third")

    # The workflows of a disabled user do not run.
    customer.call("POST", "/users/anna/disable")
    customer.wait_until_delivered("anna", "workflow.deactivated", 2)
    customer.assert_not_run("third")
    before = customer.shop.requests["third"]
    customer.start()
    customer.assert_not_run("third")
    assert customer.shop.requests["third"] == before
    customer.call("POST", "/users/anna/enable")
    customer.wait_for_run("third")
    customer.call("POST", "/users/anna/disable")
    customer.wait_until_delivered("anna", "workflow.deactivated", 3)
    customer.send_starting_events("anna")
    customer.assert_not_run("third")


def test_late_events_of_deleted_objects_start_nothing(customer: Customer) -> None:
    # The second request creates the deleted workflow again, with the same credential.
    for number, status in enumerate((201, 200), 1):
        [workflow] = customer.install("anna", "own", status)["workflows"]
        customer.wait_for_run("own")
        customer.call("DELETE", f"/workflows/{workflow['workflowId']}")
        customer.wait_until_delivered("anna", "workflow.deleted", number)
    customer.send_starting_events("anna")
    customer.assert_not_run("own")

    # The deletion of a user stops its workflows, even if their own events are late.
    created = customer.events("anna", "workflow.created")[0]
    assert customer.send({**created, "data": {**created["data"], "workflowId": "f" * 24}}) == 204
    customer.wait_for_run("own")
    data = {"userId": created["userId"], "status": "disabled", "revision": 1000, "deleting": True}
    assert customer.send({**created, "type": "user.disabled", "workflowId": None, "data": data}) == 204
    customer.assert_not_run("own")


def test_engine_runs_only_workflows_that_it_implements(customer: Customer) -> None:
    # The fixture asserts it of those that are in the list, and of these.
    customer.make_foreign_workflows("anna")
    customer.wait_until_delivered("anna", "workflow.created")
    customer.wait_until_delivered("anna-foreign", "workflow.created", 3)
    customer.assert_not_run("foreign")


def test_engine_verifies_signatures(customer: Customer) -> None:
    customer.install("anna", "first", 201)
    customer.wait_for_run("first")
    event = customer.events("anna", "workflow.created")[0]
    stopped = {**event, "data": {**event["data"], "active": False, "revision": event["data"]["revision"] + 1}}
    for forged in ("v1,AAAA", "v1,A", "v1", ""):
        assert customer.send(stopped, **{"webhook-signature": forged}) == 401
    assert customer.send(stopped, **{"webhook-timestamp": str(int(time.time()) - 600)}) == 401
    customer.wait_for_run("first")
    assert customer.call("POST", f"/destinations/{customer.webhook['destinationId']}/test")["delivered"]
    assert customer.send(stopped) == 204
    customer.assert_not_run("first")
