"""Estimates what Tenon costs on AWS, and writes the estimate to docs/cost.md and
docs/operations.md.

Inputs: the capacity units in docs/capacity.json, the processor times and AWS calls in
docs/benchmarks.json, which `make bench` writes, and the prices in local/prices.toml.
"""

import json
import math
import sys
import tomllib
from pathlib import Path

from paths import ROOT

COST, OPERATIONS = ROOT / "docs/cost.md", ROOT / "docs/operations.md"
BEGIN, END = "<!-- {}: written by local/cost.py -->\n", "<!-- end -->\n"
MILLION = 1_000_000
MONTH_MINUTES = 30 * 24 * 60
# Number of five-minute periods in a month. Secrets are cached for one period; schedules run once
# per period.
FIVE_MINUTES = MONTH_MINUTES / 5

# Assumptions that do not depend on the code.
AWS_CALL_SECONDS = 0.005  # Duration of a DynamoDB or SQS call within a region
ENDPOINT_SECONDS = 0.3  # Response time of a customer's endpoint
SCHEDULE_SECONDS = 0.05  # Duration of a scheduled invocation
LOG_BYTES = 400  # Length of a log line
ACCESS_LOG_BYTES = 500  # Length of API Gateway's log line of a request
RESPONSE_BYTES = 1_000  # Size of an API response
SENT_BYTES = 1_200  # Size of an error as it is sent
STORED_BYTES = 1_350  # Size of a stored error with two deliveries, stored together with others
DELIVERY_BYTES = 450  # Size of a delivery that is stored alone
INDEXED_BYTES = 1_200  # Size of its entries in two indexes
PROCESSES = 10  # Number of function processes that share the work
# Memory at which Lambda gives a function a full core. Less memory gets a proportional share.
CORE_MB = 1769
# Lambda polls each of three queues with five concurrent requests of 20 seconds.
QUEUE_POLLS = 3 * 5 * 3 * MONTH_MINUTES

Bill = dict[str, tuple[str, float]]


class Prices:
    """List prices of local/prices.toml."""

    def __init__(self) -> None:
        prices = tomllib.loads((ROOT / "local/prices.toml").read_text())
        self.million, self.unit = prices["million"], prices["unit"]

    def of(self, name: str, count: float) -> float:
        """Returns the price of a number of units."""
        return self.million[name] * count / MILLION if name in self.million else self.unit[name] * count


def units() -> dict[str, dict[str, float]]:
    """Returns the `read` and `write` units of each operation."""
    return json.loads((ROOT / "docs/capacity.json").read_text())


def measured(function: str, errors: int | None = None) -> tuple[float, int]:
    """Returns the processor seconds and AWS calls of an invocation.

    `errors` is the number of errors in the invocation of a function that forwards them.
    """
    for invocation in json.loads((ROOT / "docs/benchmarks.json").read_text()):
        if (invocation["function"], invocation.get("errors")) == (function, errors):
            return invocation["cpuMicroseconds"] / MILLION, invocation.get("awsCalls", 0)
    sys.exit(f"docs/benchmarks.json does not contain {function} with {errors} errors")


def gb_seconds(function: str, errors: int | None = None, memory_mb: int = 256, waiting: float | None = None) -> float:
    """Returns the GB-seconds of an invocation, in whole milliseconds as they are billed.

    The duration is the processor time at the function's share of a core, plus the time for which it
    waits. By default it waits for its AWS calls, one after the other.
    """
    cpu, calls = measured(function, errors)
    seconds = cpu * CORE_MB / memory_mb + (calls * AWS_CALL_SECONDS if waiting is None else waiting)
    return max(1, math.ceil(seconds * 1000)) / 1000 * memory_mb / 1024


def bills() -> dict[str, Bill]:
    """Returns the price name and quantity of each line, by bill."""
    cost, template = units(), (ROOT / "template.yaml").read_text()
    batches, posts = MILLION / 100, MILLION / 10
    # One caller. API Gateway caches its authorization for 30 seconds.
    authorizations = 2 * MONTH_MINUTES
    authorizer = authorizations * gb_seconds("authorizer")
    schedules = 3 * FIVE_MINUTES
    return {
        "User tokens: one million in a month": {
            "requests": ("api_requests", MILLION),
            "invocations": ("lambda_requests", MILLION + authorizations),
            "GB-seconds": ("lambda_gb_second", MILLION * gb_seconds("users_token") + authorizer),
            "read units": ("read_units", MILLION * cost["find a user by its id"]["read"] + authorizations),
            "KMS requests": ("kms_requests", PROCESSES * FIVE_MINUTES),
            "GB of logs": ("log_gb", (MILLION + authorizations) * LOG_BYTES / 1e9),
            "GB of access logs": ("log_gb", MILLION * ACCESS_LOG_BYTES / 1e9),
            "GB of responses": ("transfer_gb", MILLION * RESPONSE_BYTES / 1e9),
        },
        "Errors: one million in a month, to one bus and one webhook": {
            "requests": ("api_requests", batches),
            "invocations": ("lambda_requests", 2 * batches + posts + authorizations),
            "GB-seconds": (
                "lambda_gb_second",
                batches * gb_seconds("errors_record")
                + batches * gb_seconds("forward_errors", 100, 512)
                # Worst case: each invocation has one message of ten errors.
                + posts * gb_seconds("deliver_webhooks", 10, 256, ENDPOINT_SECONDS + 2 * AWS_CALL_SECONDS)
                + authorizer,
            ),
            "write units of errors": ("write_units", batches * cost["record 100 errors of 300 bytes"]["write"]),
            # The bus gets batches of 100 errors; the webhook, in the worst case, messages of ten.
            "write units of deliveries": (
                "write_units",
                batches * cost["record 100 deliveries at the first attempt"]["write"]
                + posts * cost["record 10 deliveries at the first attempt"]["write"],
            ),
            # A success is recorded once a minute; for a webhook, at worst, once per message.
            "write units of health": ("write_units", min(batches, MONTH_MINUTES) + posts),
            "read units": (
                "read_units",
                batches * (cost["record 100 errors of 300 bytes"]["read"] + 2)
                + posts * (cost["read 10 errors to send them"]["read"] + 2)
                + authorizations,
            ),
            # Ten messages of ten errors are sent per request; each is received and deleted alone.
            "SQS requests": ("sqs_requests", batches + 2 * posts),
            # The bus's keys and the webhook's secret when they are not cached, and the requests of
            # DynamoDB for each of four functions that use its tables.
            "KMS requests": (
                "kms_requests",
                min(batches, PROCESSES * FIVE_MINUTES) + min(posts, PROCESSES * FIVE_MINUTES) + 4 * FIVE_MINUTES,
            ),
            "GB of logs": ("log_gb", (2 * batches + posts + authorizations) * LOG_BYTES / 1e9),
            "GB of access logs": ("log_gb", batches * ACCESS_LOG_BYTES / 1e9),
            "GB to the endpoint": ("transfer_gb", MILLION * SENT_BYTES / 1e9),
            "GB of items and indexes": ("storage_gb_month", MILLION * (STORED_BYTES + INDEXED_BYTES) / 1e9),
            "GB of point-in-time recovery": ("backup_gb_month", MILLION * STORED_BYTES / 1e9),
        },
        "Errors: one million in a month, recorded one by one, to one bus and one webhook": {
            "requests": ("api_requests", MILLION),
            # Each error is recorded, forwarded and sent alone.
            "invocations": ("lambda_requests", 3 * MILLION + authorizations),
            "GB-seconds": (
                "lambda_gb_second",
                MILLION * gb_seconds("errors_record", 1, waiting=AWS_CALL_SECONDS)
                + MILLION * gb_seconds("forward_errors", 1, 512, 4 * AWS_CALL_SECONDS)
                + MILLION * gb_seconds("deliver_webhooks", 1, 256, ENDPOINT_SECONDS + 2 * AWS_CALL_SECONDS)
                + authorizer,
            ),
            "write units of errors": ("write_units", MILLION * cost["record an error of 300 bytes"]["write"]),
            "write units of deliveries": ("write_units", 2 * MILLION),
            "write units of health": ("write_units", 2 * MONTH_MINUTES),
            # A process reads the workflow and its user every 30 seconds. The forwarder reads the
            # destinations, and the sender the error, the destination and its health.
            "read units": (
                "read_units",
                min(MILLION, PROCESSES * 2 * MONTH_MINUTES) * cost["record an error of 300 bytes"]["read"]
                + (2 + 3) * MILLION
                + authorizations,
            ),
            "SQS requests": ("sqs_requests", 3 * MILLION),
            "KMS requests": ("kms_requests", 2 * PROCESSES * FIVE_MINUTES + 4 * FIVE_MINUTES),
            "GB of logs": ("log_gb", (3 * MILLION + authorizations) * LOG_BYTES / 1e9),
            "GB of access logs": ("log_gb", MILLION * ACCESS_LOG_BYTES / 1e9),
            "GB to the endpoint": ("transfer_gb", MILLION * SENT_BYTES / 1e9),
            "GB of items and indexes": (
                "storage_gb_month",
                MILLION * (STORED_BYTES + 2 * DELIVERY_BYTES + INDEXED_BYTES) / 1e9,
            ),
            "GB of point-in-time recovery": ("backup_gb_month", MILLION * (STORED_BYTES + 2 * DELIVERY_BYTES) / 1e9),
        },
        "An idle month": {
            "scheduled invocations": ("lambda_requests", schedules),
            "GB-seconds": ("lambda_gb_second", schedules * SCHEDULE_SECONDS * 256 / 1024),
            "read units": ("read_units", schedules * 4),
            "SQS requests by Lambda": ("sqs_requests", QUEUE_POLLS),
            "KMS requests by DynamoDB": ("kms_requests", schedules),
            "GB of logs": ("log_gb", schedules * LOG_BYTES / 1e9),
            "KMS keys": ("kms_key_month", template.count("Type: AWS::KMS::Key")),
            # Each metric that an alarm reads is charged.
            "metrics of alarms": ("alarm_month", template.count("MetricName:")),
            "custom metrics": ("metric_month", 3),
            "dashboards": ("dashboard_month", template.count("Type: AWS::CloudWatch::Dashboard")),
        },
    }


def capacity() -> str:
    """Returns the capacity units as Markdown."""
    rows = [f"| {operation} | {unit['read']} | {unit['write']} |" for operation, unit in units().items()]
    return "\n".join(["| operation | read units | write units |", "|---|---|---|", *rows, ""])


def table(title: str, bill: Bill) -> str:
    """Returns a bill as Markdown."""
    prices = Prices()
    amounts = {line: prices.of(price, count) for line, (price, count) in bill.items()}
    lines = [f"### {title}: {sum(amounts.values()):.2f} USD", "", "| item | quantity | USD |", "|---|---|---|"]
    lines += [f"| {line} | {count:,.1f} | {amounts[line]:.3f} |" for line, (_, count) in bill.items()]
    return "\n".join([*lines, ""])


def fill(page: Path, part: str, content: str) -> None:
    """Replaces the content of a part of a page."""
    before, begin, rest = page.read_text().partition(BEGIN.format(part))
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{page} does not contain the markers of {part}")
    page.write_text(before + begin + content + end + after)


def main() -> None:
    """Writes the tables and prints the bills."""
    tables = {title: table(title, bill) for title, bill in bills().items()}
    fill(COST, "capacity", capacity())
    fill(COST, "bills", "\n".join(tables.values()))
    fill(OPERATIONS, "idle", tables["An idle month"])
    print("\n".join(tables.values()))


if __name__ == "__main__":
    main()
