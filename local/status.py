"""Delivery health of the local run, from metrics, queues and tables (`make status`)."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from emulator import Emulator
from stack import Stack
from terminal import BOLD, DIM, PLAIN

COUNTS = {
    "Delivered": "delivered",
    "FailedAttempts": "failed attempts",
    "Retried": "retries",
    "Failed": "permanently failed",
}
QUEUES = {
    "Webhooks": "first attempts for webhooks",
    "Drains": "drain wake-ups",
    "Replays": "replay steps",
    "ForwardFailures": "stream records and batches that were not forwarded (dead-letter queue)",
    "DeliveryFailures": "messages that exceeded their retry limit (dead-letter queue)",
}
# Number of partitions of the index that lists destinations with pending deliveries, as in
# shared/src/store/keys.rs.
SHARDS = 4
# Number of consecutive failures that opens a circuit, as in shared/src/domain/health.rs.
CIRCUIT_THRESHOLD = 5


def show(emulator: Emulator, stack: Stack) -> None:
    """Prints the counts since the start, the queues and the pending deliveries."""
    lines = sorted(metric_lines(emulator, stack.outputs["LogGroup"]), key=lambda line: line["_aws"]["Timestamp"])
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update({name: line[name] for name in COUNTS if name in line})
    lags = sorted(line["Lag"] for line in lines if "Lag" in line)
    last_sweep = next((line for line in reversed(lines) if "OldestUndelivered" in line), None)

    print(f"{BOLD}Delivery health{PLAIN} {DIM}(since the start of the local run){PLAIN}")
    for name, label in COUNTS.items():
        print(f"  {counts[name]:>8}  {label}")
    if lags:
        median, maximum = lags[len(lags) // 2], lags[-1]
        print(f"  {median:>5} ms  median time from recording to first attempt (maximum {maximum} ms)")
    if last_sweep:
        print(
            f"  {last_sweep['OldestUndelivered']:>6} s  age of the oldest undelivered error or event at the last sweep"
        )

    print(f"\n{BOLD}Queued messages{PLAIN}")
    for output, label in QUEUES.items():
        depth, in_flight = queue_depth(emulator, stack.outputs[output])
        print(f"  {depth:>8}  {label}{f' ({in_flight} in flight)' if in_flight else ''}")

    backlogged = backlogged_destinations(emulator, stack.outputs["DirectoryTable"])
    print(f"\n{BOLD}Destinations with pending deliveries: {len(backlogged)}{PLAIN}")
    for destination in backlogged:
        is_open = int(destination.get("consecutiveFailures", "0")) >= CIRCUIT_THRESHOLD
        print(
            f"  {destination.get('pending', '0'):>8}  {destination['destinationId']} "
            f"{DIM}environment {destination['environmentId']}, circuit {'open' if is_open else 'closed'}, "
            f"pending for {age(destination['pendingSince'])}, "
            f"next attempt {next_attempt_at(destination) or 'at the next sweep'}{PLAIN}"
        )


def metric_lines(emulator: Emulator, group: str) -> list[dict[str, Any]]:
    """Returns the functions' log lines from which CloudWatch creates metrics."""
    pages = emulator.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    events = (event["message"] for page in pages for event in page["events"])
    return [json.loads(message) for message in events if '"_aws"' in message]


def queue_depth(emulator: Emulator, url: str) -> tuple[int, int]:
    """Returns the number of messages that wait in a queue, and of messages in flight."""
    attributes = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    response = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=attributes)["Attributes"]
    waiting, delayed, in_flight = (int(response[name]) for name in attributes)
    return waiting + delayed, in_flight


def backlogged_destinations(emulator: Emulator, table: str) -> list[dict[str, str]]:
    """Returns the destinations with pending deliveries, from the index that the sweep reads."""
    found: list[dict[str, str]] = []
    for shard in range(SHARDS):
        pages = (
            emulator.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=table,
                IndexName="listing",
                KeyConditionExpression="listPk = :shard",
                ExpressionAttributeValues={":shard": {"S": f"backlog#{shard}"}},
            )
        )
        items = (item for page in pages for item in page["Items"])
        found += [{name: next(iter(value.values())) for name, value in item.items()} for item in items]
    return found


def next_attempt_at(destination: dict[str, str]) -> str | None:
    """Returns the time of the next attempt, at the earliest, or None if nothing is pending.

    Like `Health::next_attempt_at` in shared/src/domain/health.rs.
    """
    due = destination.get("nextDueAt") or destination.get("wakeAt")
    if not due or int(destination.get("pending", "0")) <= 0:
        return None
    return max(due, destination.get("nextProbeAt", ""), destination.get("retryAfter", ""))


def age(since: str) -> str:
    """Returns the time since a timestamp, such as `5 min`."""
    seconds = round((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
