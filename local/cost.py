"""Estimates what Tenon costs on AWS, and writes the estimate to docs/cost.md.

Inputs: the capacity units in docs/cost.md, the processor times and AWS calls in docs/benchmarks.md,
and the prices in local/prices.toml.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COST, BENCHMARKS = ROOT / "docs/cost.md", ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- computed by local/cost.py -->\n", "<!-- end -->\n"
MILLION = 1_000_000
MONTH_MINUTES = 30 * 24 * 60
# Number of five-minute periods in a month. Secrets are cached and schedules run for one period.
FIVE_MINUTES = MONTH_MINUTES / 5

# Assumptions that do not depend on the code.
AWS_CALL_SECONDS = 0.005  # Duration of a DynamoDB or SQS call within a region
ENDPOINT_SECONDS = 0.3  # Response time of a customer's endpoint
SCHEDULE_SECONDS = 0.05  # Duration of a scheduled invocation
LOG_BYTES = 400  # Length of a log line
RESPONSE_BYTES = 1_000  # Size of an API response
SENT_BYTES = 1_200  # Size of an error as it is sent
STORED_BYTES = 1_350  # Size of a stored error with two deliveries
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


def units() -> dict[str, tuple[float, float]]:
    """Returns the read and write units of each operation in docs/cost.md."""
    counted = COST.read_text().split(BEGIN)[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", counted, re.MULTILINE)
    return {operation: (float(read), float(write)) for operation, read, write in rows}


def measured() -> dict[str, tuple[float, int]]:
    """Returns the processor seconds and AWS calls of an invocation, by function.

    The names of forwarding functions are followed by the number of errors per invocation.
    """
    row = r"^\| `(\w+)` \|( \d+ \|)? ([\d.]+) ± [\d.]+ \|(?:.*\|)? (\d+): [^|]*\|$"
    rows = re.findall(row, BENCHMARKS.read_text(), re.MULTILINE)
    return {name + errors.removesuffix(" |"): (float(cpu) / MILLION, int(calls)) for name, errors, cpu, calls in rows}


def gb_seconds(function: str, memory_mb: int = 256, waiting: float | None = None) -> float:
    """Returns the GB-seconds of an invocation, in whole milliseconds as they are billed.

    The duration is the processor time at the function's share of a core, plus the time for which it
    waits. By default it waits for its AWS calls, one after the other.
    """
    cpu, calls = measured()[function]
    seconds = cpu * CORE_MB / memory_mb + (calls * AWS_CALL_SECONDS if waiting is None else waiting)
    return max(1, round(seconds * 1000 + 0.5)) / 1000 * memory_mb / 1024


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
            "read units": ("read_units", MILLION * cost["find a user by its id"][0] + authorizations),
            "KMS requests": ("kms_requests", PROCESSES * FIVE_MINUTES),
            "GB of logs": ("log_gb", (MILLION + authorizations) * LOG_BYTES / 1e9),
            "GB of responses": ("transfer_gb", MILLION * RESPONSE_BYTES / 1e9),
        },
        "Errors: one million in a month, to one bus and one webhook": {
            "requests": ("api_requests", batches),
            "invocations": ("lambda_requests", 2 * batches + posts + authorizations),
            "GB-seconds": (
                "lambda_gb_second",
                batches * gb_seconds("errors_record")
                + batches * gb_seconds("forward_errors 100", 512)
                # Worst case: each invocation has one message of ten errors.
                + posts * gb_seconds("deliver_webhooks 10", 512, ENDPOINT_SECONDS + 2 * AWS_CALL_SECONDS)
                + authorizer,
            ),
            "write units of errors": ("write_units", batches * cost["record 100 errors of 300 bytes"][1]),
            # The bus gets batches of 100 errors; the webhook, in the worst case, messages of ten.
            "write units of deliveries": (
                "write_units",
                batches * cost["record 100 deliveries at the first attempt"][1]
                + posts * cost["record 10 deliveries at the first attempt"][1],
            ),
            # A success is recorded once a minute; for a webhook, at worst, once per message.
            "write units of health": ("write_units", min(batches, MONTH_MINUTES) + posts),
            "read units": (
                "read_units",
                batches * (cost["record 100 errors of 300 bytes"][0] + 2)
                + posts * (cost["read 10 errors to send them"][0] + 2)
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
            "GB of logs": ("log_gb", (batches + 2 * (batches + posts) + authorizations) * LOG_BYTES / 1e9),
            "GB to the endpoint": ("transfer_gb", MILLION * SENT_BYTES / 1e9),
            "GB of items and indexes": ("storage_gb_month", MILLION * (STORED_BYTES + INDEXED_BYTES) / 1e9),
            "GB of point-in-time recovery": ("backup_gb_month", MILLION * STORED_BYTES / 1e9),
        },
        "An idle month": {
            "scheduled invocations": ("lambda_requests", schedules),
            "GB-seconds": ("lambda_gb_second", schedules * SCHEDULE_SECONDS * 256 / 1024),
            "read units": ("read_units", schedules * 4),
            "SQS requests by Lambda": ("sqs_requests", QUEUE_POLLS),
            "KMS requests by DynamoDB": ("kms_requests", schedules),
            "GB of logs": ("log_gb", schedules * LOG_BYTES / 1e9),
            "KMS keys": ("kms_key_month", template.count("Type: AWS::KMS::Key")),
            "alarms": ("alarm_month", template.count("Type: AWS::CloudWatch::Alarm")),
            "custom metrics": ("metric_month", 3),
        },
    }


def table() -> str:
    """Returns the bills as Markdown."""
    prices, lines = Prices(), []
    for title, bill in bills().items():
        amounts = {line: prices.of(price, count) for line, (price, count) in bill.items()}
        lines += [f"### {title}: {sum(amounts.values()):.2f} USD", "", "| item | quantity | USD |", "|---|---|---|"]
        lines += [f"| {line} | {count:,.1f} | {amounts[line]:.3f} |" for line, (_, count) in bill.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the bills to docs/cost.md and prints them."""
    text = COST.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{COST} does not contain the markers of the computed part")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    COST.write_text(f"{before}{BEGIN}{table()}{END}{after}")
    print(table())


if __name__ == "__main__":
    main()
