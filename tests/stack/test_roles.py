"""EventBridge destinations with a role instead of access keys."""

import json
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import customer
import pytest
from deployed import Environment, NewEnvironment
from emulator import CUSTOMER_ACCOUNT, PRODUCT_ACCOUNT, REGION, Emulator
from tenon import Response
from waiting import wait


class Role:
    """Role of the customer."""

    def __init__(self, emulator: Emulator, account: str = CUSTOMER_ACCOUNT) -> None:
        self.iam = emulator.client("iam", account)
        self.name = f"tenon-{uuid.uuid4().hex[:12]}"
        self.arn = f"arn:aws:iam::{account}:role/{self.name}"

    def create(self, trust_policy: dict, policy: dict) -> None:
        """Creates the role."""
        self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(trust_policy))
        self.permit(policy)

    def trust(self, trust_policy: dict) -> None:
        """Replaces the trust policy."""
        self.iam.update_assume_role_policy(RoleName=self.name, PolicyDocument=json.dumps(trust_policy))

    def permit(self, policy: dict) -> None:
        """Replaces the permissions."""
        self.iam.put_role_policy(RoleName=self.name, PolicyName="put-events", PolicyDocument=json.dumps(policy))


class Connection(NamedTuple):
    """A bus of the customer, and a destination with a role that does not exist yet."""

    environment: Environment
    bus: customer.Bus
    role: Role
    created: dict

    @property
    def path(self) -> str:
        """Path of the destination."""
        return f"/destinations/{self.created['destinationId']}"

    def create_role(self) -> None:
        """Creates the role as the response to the creation says."""
        self.role.create(self.created["trustPolicy"], self.created["policy"])

    def patch(self, **changes: Any) -> Response:
        """Changes the destination."""
        return self.environment.backend.call("PATCH", self.path, changes)

    def shown(self) -> dict:
        """The destination."""
        return self.environment.call("GET", self.path)

    def refused(self, **changes: Any) -> dict:
        """Returns the problem of a change that AWS refuses, and checks that nothing has changed."""
        before = self.shown()
        problem = refused(self.patch(**changes))
        assert self.shown() == before
        return problem


def refused(answer: Response) -> dict:
    """Returns the problem of a connection that AWS refused."""
    assert (answer.status, answer.body["type"]) == (422, "urn:tenon:problem:connection-refused"), answer
    return answer.body


@pytest.fixture
def connection(emulator: Emulator, new_environment: NewEnvironment) -> Connection:
    """A bus of the customer, and a destination with a role that does not exist yet."""
    environment, role = new_environment(), Role(emulator)
    bus = customer.make_bus(emulator, f"tenon-test-{uuid.uuid4().hex[:12]}")
    created = environment.call("POST", "/destinations", settings(bus.name, {"roleArn": role.arn}), 201)
    return Connection(environment, bus, role, created)


def settings(bus: str, credentials: dict) -> dict:
    """Returns the settings of a destination."""
    return {"type": "eventbridge", "region": REGION, "eventBusName": bus, "credentials": credentials}


@pytest.fixture
def record(connection: Connection) -> Callable[[str], None]:
    """Records errors of a workflow."""
    environment = connection.environment
    user = environment.call("POST", "/users", {"username": "joe"}, 201)["userId"]
    workflow = environment.call("POST", "/workflows", {"userId": user, "name": "Orders"}, 201)["workflowId"]

    def record(text: str) -> None:
        error = {"executionId": "e", "blockId": "b", "blockType": "shopify", "error": text}
        environment.call("POST", f"/workflows/{workflow}/errors", error, 202)

    return record


def arrives(connection: Connection, text: str, *earlier: str) -> None:
    """Waits until an error arrives on the bus.

    An earlier error, which the bus may have confirmed too late, may arrive again before it.
    """
    error = None
    while error != text:
        event = connection.bus.receive(60)
        assert event, connection.shown()
        error = event["detail"]["error"]
        assert error in (text, *earlier)


def test_a_destination_with_a_role_says_what_the_role_must_trust(connection: Connection) -> None:
    created, role = connection.created, connection.role
    assert (created["enabled"], created["verified"]) == (False, False)
    assert "trustPolicy" in created["verification"]
    external_id = created["credentials"]["externalId"]
    assert created["credentials"] == {"roleArn": role.arn, "externalId": external_id}
    assert created["principal"] == f"arn:aws:iam::{PRODUCT_ACCOUNT}:root"
    [trust] = created["trustPolicy"]["Statement"]
    assert trust["Principal"] == {"AWS": created["principal"]}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": external_id}}
    [allowed] = created["policy"]["Statement"]
    assert allowed["Resource"] == f"arn:aws:events:{REGION}:{CUSTOMER_ACCOUNT}:event-bus/{connection.bus.name}"
    assert connection.shown() == {name: value for name, value in created.items() if name != "secret"}


def test_external_ids_differ_and_cannot_be_chosen(connection: Connection) -> None:
    environment, role = connection.environment, connection.role
    same = settings(connection.bus.name, {"roleArn": role.arn})
    others = [environment.call("POST", "/destinations", same, 201) for _ in range(2)]
    ids = {destination["credentials"]["externalId"] for destination in [connection.created, *others]}
    assert len(ids) == 3
    chosen = settings(connection.bus.name, {"roleArn": role.arn, "externalId": "chosen"})
    answer = environment.backend.call("POST", "/destinations", chosen)
    assert [error["pointer"] for error in answer.body["errors"]] == ["/credentials/externalId"]


def test_errors_arrive_through_the_role(connection: Connection, record: Callable[[str], None]) -> None:
    connection.create_role()
    enabled = connection.patch(enabled=True)
    assert (enabled.status, enabled.body["enabled"]) == (200, True), enabled
    record("through the role")
    arrives(connection, "through the role")
    wait(lambda: connection.shown()["health"]["status"] == "healthy", "the success is recorded")


def test_a_role_that_tenon_may_not_assume_is_refused(connection: Connection) -> None:
    # It does not exist.
    problem = connection.refused(enabled=True)
    assert [error["pointer"] for error in problem["errors"]] == ["/credentials/roleArn"]
    assert "trustPolicy" in problem["detail"]
    assert "AccessDenied" in problem["detail"]
    # It trusts Tenon for another external id, or another account.
    connection.create_role()
    for member, value in (
        ("Condition", {"StringEquals": {"sts:ExternalId": "0" * 40}}),
        ("Principal", {"AWS": "333333333333"}),
    ):
        trust = json.loads(json.dumps(connection.created["trustPolicy"]))
        trust["Statement"][0][member] = value
        connection.role.trust(trust)
        connection.refused(enabled=True)
    connection.role.trust(connection.created["trustPolicy"])
    assert connection.patch(enabled=True).status == 200


OPEN_CONDITIONS = {
    "none": lambda _: {},
    "any external id": lambda _: {"StringLike": {"sts:ExternalId": "*"}},
    "some external id": lambda _: {"Null": {"sts:ExternalId": "false"}},
    "its first digits": lambda own: {"StringLike": {"sts:ExternalId": own[:3] + "*"}},
    "its last digits": lambda own: {"StringLike": {"sts:ExternalId": "*" + own[-3:]}},
    "first and last digits": lambda own: {"StringLike": {"sts:ExternalId": own[:3] + "*" + own[-3:]}},
    "digits in the middle": lambda own: {"StringLike": {"sts:ExternalId": "*" + own[18:21] + "*"}},
}


@pytest.mark.parametrize("condition", OPEN_CONDITIONS)
def test_a_trust_policy_must_require_the_external_id(connection: Connection, condition: str) -> None:
    trust = json.loads(json.dumps(connection.created["trustPolicy"]))
    trust["Statement"][0]["Condition"] = OPEN_CONDITIONS[condition](connection.created["credentials"]["externalId"])
    connection.role.create(trust, connection.created["policy"])
    for change in ({"enabled": True}, {"credentials": {"roleArn": connection.role.arn}}):
        assert "the trust policy must require this external id" in connection.refused(**change)["detail"]
    tested = connection.environment.call("POST", f"{connection.path}/test")
    assert not tested["delivered"]
    assert "the trust policy must require this external id" in tested["attempt"]["response"]


def test_a_role_without_permission_is_refused_with_the_policy(connection: Connection) -> None:
    other_bus = json.loads(json.dumps(connection.created["policy"]).replace(connection.bus.name, "other"))
    connection.role.create(connection.created["trustPolicy"], other_bus)
    problem = connection.refused(enabled=True)
    assert "events:PutEvents" in problem["detail"]
    assert problem["policy"] == connection.created["policy"]


def test_the_test_event_verifies_the_role_of_a_disabled_destination(connection: Connection) -> None:
    failed = connection.environment.call("POST", f"{connection.path}/test")
    assert not failed["delivered"]
    assert failed["attempt"]["status"] == 403
    # AWS names the role of the function.
    assert "assumed-role" not in failed["attempt"]["response"]
    assert connection.shown()["verification"] == failed["attempt"]["response"]
    connection.create_role()
    tested = connection.environment.call("POST", f"{connection.path}/test")
    assert (tested["delivered"], tested["attempt"]["status"]) == (True, 200)
    shown = connection.shown()
    assert not shown["enabled"]
    assert "AWS accepted a test event" in shown["verification"] or shown["verified"]


def test_a_role_cannot_be_used_through_another_destination(
    connection: Connection, emulator: Emulator, new_environment: NewEnvironment
) -> None:
    connection.create_role()
    assert connection.patch(enabled=True).status == 200
    # Another caller knows the ARNs of the role and of the bus.
    other = new_environment()
    stolen = settings(connection.bus.name, {"roleArn": connection.role.arn})
    created = other.call("POST", "/destinations", stolen, 201)
    refused(other.backend.call("PATCH", f"/destinations/{created['destinationId']}", {"enabled": True}))


@pytest.mark.parametrize(
    ("credentials", "bus", "pointers"),
    [
        ({"roleArn": f"arn:aws:iam::{PRODUCT_ACCOUNT}:role/tenon"}, "errors", ["/credentials/roleArn"]),
        ({"roleArn": f"arn:aws-cn:iam::{CUSTOMER_ACCOUNT}:role/tenon"}, "errors", ["/credentials/roleArn"]),
        (
            {"roleArn": f"arn:aws:iam::{CUSTOMER_ACCOUNT}:role/tenon"},
            f"arn:aws:events:{REGION}:333333333333:event-bus/errors",
            ["/credentials/roleArn"],
        ),
        ({"roleArn": "tenon"}, "errors", ["/credentials/roleArn"]),
        (
            {
                "roleArn": f"arn:aws:iam::{CUSTOMER_ACCOUNT}:role/tenon",
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "secretAccessKey": "x",
            },
            "errors",
            ["/credentials/accessKeyId", "/credentials/secretAccessKey"],
        ),
        ({}, "errors", ["/credentials"]),
    ],
)
def test_roles_that_tenon_does_not_assume_are_rejected(
    new_environment: NewEnvironment, credentials: dict, bus: str, pointers: list[str]
) -> None:
    answer = new_environment().backend.call("POST", "/destinations", settings(bus, credentials))
    assert answer.status == 422, answer
    assert [error["pointer"] for error in answer.body["errors"]] == pointers


def test_keys_are_used_until_the_role_is_proven(
    emulator: Emulator, connection: Connection, record: Callable[[str], None]
) -> None:
    keys = customer.make_keys(emulator, connection.bus.name, connection.bus.name)
    given = {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
    with_keys = connection.environment.call("POST", "/destinations", settings(connection.bus.name, given), 201)
    moved = connection._replace(created=with_keys)
    assert with_keys["credentials"].keys() == {"accessKeyId", "externalId"}
    role = {"credentials": {"roleArn": connection.role.arn}}
    moved.refused(**role)
    record("with keys")
    arrives(moved, "with keys")
    moved.create_role()
    answer = moved.patch(**role)
    assert answer.status == 200, answer
    assert answer.body["enabled"]
    assert answer.body["credentials"] == {
        "roleArn": connection.role.arn,
        "externalId": with_keys["credentials"]["externalId"],
    }
    record("with the role")
    arrives(moved, "with the role", "with keys")
    # The way back.
    assert moved.patch(credentials=given).body["credentials"].keys() == {"accessKeyId", "externalId"}
    record("with keys again")
    arrives(moved, "with keys again", "with keys", "with the role")


def test_errors_wait_while_the_role_is_broken(connection: Connection, record: Callable[[str], None]) -> None:
    connection.create_role()
    assert connection.patch(enabled=True).status == 200
    record("before")
    arrives(connection, "before")
    # The credentials of the role are cached, but its permissions are not.
    connection.role.permit({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    record("broken")
    wait(lambda: connection.shown()["health"]["pending"] == 1, "the delivery is pending")
    connection.role.permit(connection.created["policy"])
    arrives(connection, "broken", "before")


def test_a_bus_can_be_corrected_before_the_role_exists(connection: Connection) -> None:
    answer = connection.patch(eventBusName="other")
    assert (answer.status, answer.body["verified"]) == (200, False)
    assert answer.body["policy"]["Statement"][0]["Resource"].endswith(":event-bus/other")
    other_region = f"arn:aws:events:eu-west-1:{CUSTOMER_ACCOUNT}:event-bus/errors"
    assert [error["pointer"] for error in connection.patch(eventBusName=other_region).body["errors"]] == [
        "/eventBusName"
    ]
    elsewhere = connection.patch(eventBusName=f"arn:aws:events:{REGION}:333333333333:event-bus/errors")
    assert [error["pointer"] for error in elsewhere.body["errors"]] == ["/credentials/roleArn"]
