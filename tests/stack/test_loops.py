"""Chains of wake-ups that exceed the limit of Lambda's recursive loop detection."""

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import tenon
from customer import Endpoint
from deployed import Environment, NewEnvironment, delivery_partitions, run_schedule, timestamp
from emulator import Emulator
from stack import Stack
from waiting import wait

pytestmark = pytest.mark.alone

# Number of invocations of the drain. Lambda stops a loop after about 16.
ROUNDS = 20
# Number of pending deliveries, one of which is due each second. A busy machine drains several in
# one invocation.
BACKLOG = 300
# Number of errors that a replay examines, at most 200 of one of 8 partitions in each invocation:
# at least 16 invocations, and 8 for the partitions of events. It replays the last hundred.
EXAMINED = 2400
# Waits that take long on a busy machine.
wait_long = functools.partial(wait, seconds=900, pause=0.5)


def test_a_drain_and_a_replay_of_many_invocations_end(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    dropped = {name: count(emulator, "RecursiveInvocationsDropped", name) for name in ("tenon-drain", "tenon-replay")}
    with Endpoint(answers=[204]) as endpoint:
        environment = new_environment()
        wait_for_replay(environment, start_replay(environment, endpoint))
    # From here on, only the drain of the backlog makes rounds.
    with backlog(emulator, stack, new_environment(), BACKLOG) as drained:
        before = drain_invocations(emulator, stack)
        wait_long(lambda: drain_invocations(emulator, stack) - before >= ROUNDS, f"{ROUNDS} rounds")
        drained.spread(timedelta())
        wait_long(drained.is_empty, "the backlog is delivered")
    assert dead_letters(emulator, stack) == []
    assert dropped == {name: count(emulator, "RecursiveInvocationsDropped", name) for name in dropped}


def test_without_allow_lambda_stops_both_and_the_sweep_resumes_them(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    with (
        without_schedule(emulator, "tenon-sweep"),
        backlog(emulator, stack, new_environment(), BACKLOG) as drained,
        Endpoint(answers=[204]) as endpoint,
    ):
        with terminating(emulator, "tenon-drain", "tenon-replay"):
            replay = start_replay(environment, endpoint)
            for function in ("tenon-replay", "tenon-drain"):
                dropped = functools.partial(count, emulator, "RecursiveInvocationsDropped", function)
                wait_long(dropped, f"{function} is stopped")
            assert environment.call("GET", f"/replays/{replay}")["status"] == "running"
            assert not drained.is_empty()
        assert {"ReplayStepV1", "DrainV1"} <= {message["message"] for message in dead_letters(emulator, stack)}

        # Nothing is lost: once the wake-ups are overdue, the sweep repeats them.
        drained.spread(timedelta())
        set_back(emulator, stack, f"env#{environment.id}#replays", f"replay#{replay}", "updatedAt")
        set_back(
            emulator, stack, f"env#{drained.environment.id}#destinations", f"health#{drained.destination}", "wakeAt"
        )
        invoke_sweep(emulator, stack)
        wait_for_replay(environment, replay)
        wait_long(drained.is_empty, "the backlog is delivered")


@contextlib.contextmanager
def without_schedule(emulator: Emulator, function: str) -> Iterator[None]:
    """Stops invocations of a function by its schedule while the block is executed."""
    run_schedule(emulator, function, enabled=False)
    try:
        yield
    finally:
        run_schedule(emulator, function, enabled=True)


class Backlog:
    """Pending deliveries of a webhook, one of which is due in each of the coming seconds."""

    def __init__(self, emulator: Emulator, stack: Stack, environment: Environment, destination: str) -> None:
        self.dynamodb, self.table = emulator.client("dynamodb"), stack.outputs["ErrorsTable"]
        self.directory = stack.outputs["DirectoryTable"]
        self.environment, self.destination = environment, destination
        self.partitions = functools.partial(delivery_partitions, environment.id, destination)

    def items(self) -> list[dict]:
        """Returns the pending deliveries as they are stored."""
        found = []
        for pk in self.partitions("pending"):
            found += self.dynamodb.query(
                TableName=self.table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}
            )["Items"]
        return found

    def is_empty(self) -> bool:
        """Whether everything is delivered."""
        return not self.items()

    def keep_from_drains(self) -> bool:
        """Acquires the lease as a drain does. Returns `False` if a drain holds it."""
        now = datetime.now(UTC)
        try:
            self.update_health(
                "SET leasedUntil = :until",
                "attribute_not_exists(leasedUntil) OR leasedUntil <= :now",
                {":now": {"S": timestamp(now)}, ":until": {"S": timestamp(now + timedelta(hours=1))}},
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def let_drains_send(self) -> None:
        """Releases the lease, and forgets the failures.

        With them, the next success would make everything due.
        """
        self.update_health(
            "SET consecutiveFailures = :none REMOVE nextProbeAt, wakeAt, leasedUntil, recoveredAt",
            "attribute_exists(leasedUntil)",
            {":none": {"N": "0"}},
        )

    def update_health(self, update: str, condition: str, values: dict) -> None:
        """Updates the health of the destination."""
        self.dynamodb.update_item(
            TableName=self.directory,
            Key={"pk": {"S": f"env#{self.environment.id}#destinations"}, "sk": {"S": f"health#{self.destination}"}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
        )

    def spread(self, interval: timedelta) -> None:
        """Makes one delivery due after each interval from now on."""
        start = datetime.now(UTC) + timedelta(seconds=2)
        attempts = dict(zip(self.partitions("pending"), self.partitions("attempts"), strict=True))
        for number, item in enumerate(self.items()):
            due = timestamp(start + number * interval)
            before, _, record = item["sk"]["S"].partition("#")
            if before == due:
                # A transaction refuses two operations on one key.
                continue
            moved = {**item, "sk": {"S": f"{due}#{record}"}, "nextAttemptAt": {"S": due}}
            key = {name: item[name] for name in ("pk", "sk")}
            delivery = {"pk": {"S": attempts[item["pk"]["S"]]}, "sk": {"S": record}}
            rescheduled = {
                "TableName": self.table,
                "Key": delivery,
                "UpdateExpression": "SET nextAttemptAt = :due",
                "ConditionExpression": "nextAttemptAt = :before",
                "ExpressionAttributeValues": {":due": {"S": due}, ":before": {"S": before}},
            }
            actions = [
                {"Delete": {"TableName": self.table, "Key": key, "ConditionExpression": "attribute_exists(pk)"}},
                {"Put": {"TableName": self.table, "Item": moved}},
                {"Update": rescheduled},
            ]
            # The drain may have been quicker.
            with contextlib.suppress(self.dynamodb.exceptions.TransactionCanceledException):
                self.dynamodb.transact_write_items(TransactItems=actions)


@contextlib.contextmanager
def backlog(emulator: Emulator, stack: Stack, environment: Environment, size: int) -> Iterator[Backlog]:
    """Makes a backlog of a webhook that works again, and wakes its drain."""
    with Endpoint(answers=[500]) as endpoint:
        settings = {"type": "webhook", "url": endpoint.url}
        destination = environment.call("POST", "/destinations", settings, 201)["destinationId"]
        made = Backlog(emulator, stack, environment, destination)
        record(environment, size)
        wait_long(lambda: len(made.items()) == size, "all deliveries are pending")
        # A result that is recorded later would make everything due.
        wait_long(functools.partial(is_idle, emulator, stack.outputs["Webhooks"]), "all results are recorded")
        wait_long(made.keep_from_drains, "no drain is running")
        made.spread(timedelta(seconds=1))
        endpoint.answers[:] = [204]
        made.let_drains_send()
        message = {"message": "DrainV1", "environmentId": environment.id, "destinationId": destination}
        emulator.client("sqs").send_message(QueueUrl=stack.outputs["Drains"], MessageBody=json.dumps(message))
        yield made


def is_idle(emulator: Emulator, queue: str) -> bool:
    """Whether all messages of a queue are processed."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = emulator.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return all(int(found[name]) == 0 for name in names)


@contextlib.contextmanager
def terminating(emulator: Emulator, *functions: str) -> Iterator[None]:
    """Takes the permission to loop from functions, and gives it back."""
    client = emulator.client("lambda")
    for function in functions:
        assert client.get_function_recursion_config(FunctionName=function)["RecursiveLoop"] == "Allow"
        client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Terminate")
    try:
        yield
    finally:
        for function in functions:
            client.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")


def start_replay(environment: Environment, endpoint: Endpoint) -> str:
    """Records errors, and replays some of them to a new destination. Returns the replay's id."""
    record(environment, EXAMINED - 100, block_type="shopify")
    record(environment, 100, block_type="http")
    settings = {
        "type": "webhook",
        "url": endpoint.url,
        "events": ["error", "workflow.*"],
        "filter": {"blockType": ["http"]},
    }
    destination = environment.call("POST", "/destinations", settings, 201)["destinationId"]
    since, until = (timestamp(datetime.now(UTC) + timedelta(minutes=minutes)) for minutes in (-60, 1))
    body = {"since": since, "until": until}
    return environment.call("POST", f"/destinations/{destination}/replay", body, 202)["replayId"]


def wait_for_replay(environment: Environment, replay: str) -> None:
    """Waits until a replay has delivered all errors and the events of the workflows."""
    shown = functools.partial(environment.call, "GET", f"/replays/{replay}")
    wait_long(lambda: shown()["status"] == "done", "the replay is done")
    assert (shown()["found"], shown()["delivered"]) == (102, 102)


def record(environment: Environment, size: int, block_type: str = "shopify") -> None:
    """Records errors of a new workflow, a hundred a request."""
    user = environment.call("POST", "/users", {"username": f"user-{time.monotonic_ns()}"}, 201)["userId"]
    workflow = environment.call("POST", "/workflows", {"userId": user, "name": "Orders"}, 201)["workflowId"]
    error = {"executionId": "e", "blockId": "b", "blockType": block_type, "error": "Error"}
    for done in range(0, size, 100):
        body = {"errors": [error] * min(100, size - done)}
        environment.call("POST", f"/workflows/{workflow}/errors", body, 202)


def set_back(emulator: Emulator, stack: Stack, pk: str, sk: str, attribute: str) -> None:
    """Sets a time of an item of the directory back by an hour."""
    emulator.client("dynamodb").update_item(
        TableName=stack.outputs["DirectoryTable"],
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET #attribute = :before",
        ExpressionAttributeNames={"#attribute": attribute},
        ExpressionAttributeValues={":before": {"S": timestamp(datetime.now(UTC) - timedelta(hours=1))}},
    )


def invoke_sweep(emulator: Emulator, stack: Stack) -> None:
    """Runs the sweep as its schedule does."""
    woken = tenon.invoke(emulator, stack.outputs["Sweep"], {})
    assert (woken["replays"], woken["drains"] > 0) == (1, True), woken


def dead_letters(emulator: Emulator, stack: Stack) -> list[dict]:
    """Takes all messages out of the dead-letter queue."""
    sqs, url, found = emulator.client("sqs"), stack.outputs["DeliveryFailures"], []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def drain_invocations(emulator: Emulator, stack: Stack) -> int:
    """Returns the number of invocations of the drain: the local AWS writes one log stream each."""
    pages = emulator.client("logs").get_paginator("describe_log_streams")
    streams = [
        stream for page in pages.paginate(logGroupName=stack.outputs["LogGroup"]) for stream in page["logStreams"]
    ]
    return sum("/tenon-drain[" in stream["logStreamName"] for stream in streams)


def count(emulator: Emulator, metric: str, function: str) -> float:
    """Returns the sum of a function's metric over the last hour."""
    points = emulator.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)
