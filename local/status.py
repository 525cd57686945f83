"""How deliveries do: what the operator's metrics, queues and alarms would tell, for the local run."""

import json
from collections import Counter
from datetime import datetime, timezone

from demo import BOLD, DIM, PLAIN
from emulator import Emulator
from stack import Stack

COUNTS = {"Delivered": "delivered", "FailedAttempts": "failed attempts", "Retried": "attempts that were not the first", "Failed": "failed for good"}
QUEUES = {
    "Webhooks": "first attempts for webhooks",
    "Drains": "wake-ups of drains",
    "Replays": "steps of replays",
    "ForwardFailures": "parts of the stream that were given up",
    "DeliveryFailures": "messages that were given up",
}
# The partitions of the index in which destinations with pending deliveries are listed.
SHARDS = 4


def show(emulator: Emulator, stack: Stack) -> None:
    """Prints what was measured since the local run began, what waits now, and for which destinations."""
    lines = sorted(measurements(emulator, stack.outputs["LogGroup"]), key=lambda line: line["_aws"]["Timestamp"])
    counts: Counter = Counter()
    for line in lines:
        counts.update({name: line[name] for name in COUNTS if name in line})
    lags = sorted(line["Lag"] for line in lines if "Lag" in line)
    last_sweep = next((line for line in reversed(lines) if "OldestUndelivered" in line), None)

    print(f"{BOLD}Since the start{PLAIN}")
    for name, words in COUNTS.items():
        print(f"  {counts[name]:>8}  {words}")
    if lags:
        print(f"  {lags[len(lags) // 2]:>5} ms  from record to first attempt (median; at most {lags[-1]} ms)")
    if last_sweep:
        print(f"  {last_sweep['OldestUndelivered']:>6} s  the oldest undelivered error had waited when the sweep last ran")

    print(f"\n{BOLD}In the queues{PLAIN}")
    for output, words in QUEUES.items():
        depth, in_flight = queue_depth(emulator, stack.outputs[output])
        print(f"  {depth:>8}  {words}{f' ({in_flight} under way)' if in_flight else ''}")

    backlogged = backlogged_destinations(emulator, stack.outputs["DirectoryTable"])
    print(f"\n{BOLD}Destinations with pending deliveries: {len(backlogged)}{PLAIN}")
    for destination in backlogged:
        circuit = "open" if int(destination.get("consecutiveFailures", "0")) >= 5 else "closed"
        print(
            f"  {destination['pending']:>8}  {destination['destinationId']} {DIM}of environment {destination['environmentId']}: "
            f"circuit {circuit}, waiting for {age(destination['pendingSince'])}, "
            f"next attempt {destination.get('wakeAt', 'when the sweep runs')}{PLAIN}"
        )


def measurements(emulator: Emulator, group: str) -> list[dict]:
    """Returns the metrics in the functions' logs, which CloudWatch would count."""
    pages = emulator.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    events = (event["message"] for page in pages for event in page["events"])
    return [json.loads(message) for message in events if '"_aws"' in message]


def queue_depth(emulator: Emulator, url: str) -> tuple[int, int]:
    """How many messages wait in a queue, and how many are worked on."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible"]
    answer = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    waiting, delayed, in_flight = (int(answer[name]) for name in names)
    return waiting + delayed, in_flight


def backlogged_destinations(emulator: Emulator, table: str) -> list[dict[str, str]]:
    """The destinations with pending deliveries, as the sweep finds them."""
    found = []
    for shard in range(SHARDS):
        answer = emulator.client("dynamodb").query(
            TableName=table,
            IndexName="listing",
            KeyConditionExpression="listPk = :shard",
            ExpressionAttributeValues={":shard": {"S": f"backlog#{shard}"}},
        )
        found += [{name: next(iter(value.values())) for name, value in item.items()} for item in answer["Items"]]
    return found


def age(since: str) -> str:
    """The time since then, in words."""
    seconds = round((datetime.now(timezone.utc) - datetime.fromisoformat(since)).total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
