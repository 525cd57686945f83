"""What Tenon costs on AWS: computes the table of money in docs/cost.md from the units that stand there, which a test holds,
from what docs/benchmarks.md measured, and from local/prices.toml."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COST, BENCHMARKS = ROOT / "docs/cost.md", ROOT / "docs/benchmarks.md"
BEGIN, END = "<!-- computed by local/cost.py -->\n", "<!-- end -->\n"
MILLION = 1_000_000
MONTH_MINUTES = 30 * 24 * 60
# How long a secret or a data key is kept in a process, and how often the schedules come.
FIVE_MINUTES = MONTH_MINUTES / 5

# Assumed, since they are not a matter of the code: how long a call of DynamoDB or SQS takes within a region, how long a
# customer's endpoint takes to answer, what a schedule's run takes, how long a line of a log is, how large an answer, an error
# as it is sent, an error with its two deliveries, and its place in two indexes is, and how many processes share the work.
AWS_CALL_SECONDS = 0.005
ENDPOINT_SECONDS = 0.3
SCHEDULE_SECONDS = 0.05
LOG_BYTES = 400
ANSWER_BYTES = 1_000
SENT_BYTES = 1_200
KEPT_BYTES = 1_350
INDEXED_BYTES = 1_200
PROCESSES = 10
# Lambda gives a function a whole core at this memory, and less in proportion.
CORE_MB = 1769
# Lambda asks a queue by five requests at once, each of which waits for 20 seconds; three queues trigger functions.
QUEUE_POLLS = 3 * 5 * 3 * MONTH_MINUTES


class Prices:
    """The list prices."""

    def __init__(self) -> None:
        prices = tomllib.loads((ROOT / "local/prices.toml").read_text())
        self.million, self.unit = prices["million"], prices["unit"]

    def of(self, name: str, count: float) -> float:
        """The price of so many."""
        return self.million[name] * count / MILLION if name in self.million else self.unit[name] * count


def units() -> dict[str, tuple[float, float]]:
    """Read and write units of each operation."""
    counted = COST.read_text().split(BEGIN)[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", counted, re.MULTILINE)
    return {operation: (float(read), float(write)) for operation, read, write in rows}


def measured() -> dict[str, tuple[float, int]]:
    """The processor time of an invocation in seconds, and its AWS calls, of each function; of those that forward, by how many
    errors it has."""
    row = r"^\| `(\w+)` \|( \d+ \|)? ([\d.]+) ± [\d.]+ \|(?:.*\|)? (\d+): [^|]*\|$"
    rows = re.findall(row, BENCHMARKS.read_text(), re.MULTILINE)
    return {name + errors.removesuffix(" |"): (float(cpu) / MILLION, int(calls)) for name, errors, cpu, calls in rows}


def gb_seconds(function: str, memory_mb: int = 256, waiting: float | None = None) -> float:
    """GB-seconds of an invocation: its processor time at its share of a core, and the AWS calls that it waits for, one after
    the other unless told otherwise; in whole milliseconds, as they are charged."""
    cpu, calls = measured()[function]
    seconds = cpu * CORE_MB / memory_mb + (calls * AWS_CALL_SECONDS if waiting is None else waiting)
    return max(1, round(seconds * 1000 + 0.5)) / 1000 * memory_mb / 1024


def bills() -> dict[str, dict[str, tuple[str, float]]]:
    """What is charged: by bill and line, how many of which price."""
    cost = units()
    batches, posts = MILLION / 100, MILLION / 10
    # One caller, whose key the gateway remembers for 30 seconds, as the function does.
    authorizations = 2 * MONTH_MINUTES
    authorizer = authorizations * gb_seconds("authorizer")
    schedules = 3 * FIVE_MINUTES
    return {
        "the tokens of a million users, in a month": {
            "requests": ("api_requests", MILLION),
            "invocations": ("lambda_requests", MILLION + authorizations),
            "GB-seconds": ("lambda_gb_second", MILLION * gb_seconds("users_token") + authorizer),
            "read units": ("read_units", MILLION * cost["find a user by its id"][0] + authorizations),
            "KMS requests": ("kms_requests", PROCESSES * FIVE_MINUTES),
            "GB of logs": ("log_gb", (MILLION + authorizations) * LOG_BYTES / 1e9),
            "GB of answers": ("transfer_gb", MILLION * ANSWER_BYTES / 1e9),
        },
        "a million errors, recorded by 100 in the course of a month, delivered to one bus and one webhook, and kept for 30 days": {
            "requests": ("api_requests", batches),
            "invocations": ("lambda_requests", 2 * batches + posts + authorizations),
            "GB-seconds": (
                "lambda_gb_second",
                batches * gb_seconds("errors_record")
                + batches * gb_seconds("forward_errors 100", 512)
                # At worst each message by itself, which reads, posts, and notes.
                + posts * gb_seconds("deliver_webhooks 10", 512, ENDPOINT_SECONDS + 2 * AWS_CALL_SECONDS)
                + authorizer,
            ),
            "write units of the errors": ("write_units", batches * cost["record 100 errors of 300 bytes"][1]),
            # To the bus by the batch, to the webhook at worst by the message.
            "write units of the deliveries": (
                "write_units",
                batches * cost["note 100 deliveries at the first attempt"][1]
                + posts * cost["note 10 deliveries at the first attempt"][1],
            ),
            # A success is noted once a minute, of a webhook at worst by each of the messages that are sent at once.
            "write units of health": ("write_units", min(batches, MONTH_MINUTES) + posts),
            "read units": (
                "read_units",
                batches * (cost["record 100 errors of 300 bytes"][0] + 2)
                + posts * (cost["read 10 errors to send them"][0] + 2)
                + authorizations,
            ),
            # A message for ten errors: sent by tens, received and deleted one by one at worst.
            "SQS requests": ("sqs_requests", batches + 2 * posts),
            # The bus's keys and the webhook's secret, when they are needed and are not known; and what DynamoDB asks for each
            # of four functions that use its tables.
            "KMS requests": (
                "kms_requests",
                min(batches, PROCESSES * FIVE_MINUTES) + min(posts, PROCESSES * FIVE_MINUTES) + 4 * FIVE_MINUTES,
            ),
            "GB of logs": ("log_gb", (batches + 2 * (batches + posts) + authorizations) * LOG_BYTES / 1e9),
            "GB to the endpoint": ("transfer_gb", MILLION * SENT_BYTES / 1e9),
            "GB of items and indexes": ("storage_gb_month", MILLION * (KEPT_BYTES + INDEXED_BYTES) / 1e9),
            "GB that can be restored": ("backup_gb_month", MILLION * KEPT_BYTES / 1e9),
        },
        "an idle month": {
            "invocations by schedules": ("lambda_requests", schedules),
            "GB-seconds": ("lambda_gb_second", schedules * SCHEDULE_SECONDS * 256 / 1024),
            "read units": ("read_units", schedules * 4),
            "SQS requests by Lambda": ("sqs_requests", QUEUE_POLLS),
            "KMS requests by DynamoDB": ("kms_requests", schedules),
            "GB of logs": ("log_gb", schedules * LOG_BYTES / 1e9),
            "KMS keys": ("kms_key_month", 3),
            "alarms": ("alarm_month", 8),
            "metrics of one's own": ("metric_month", 3),
        },
    }


def table() -> str:
    """The bills."""
    prices, lines = Prices(), []
    for bill, entries in bills().items():
        sums = {line: prices.of(price, count) for line, (price, count) in entries.items()}
        lines += [f"### {bill[0].upper()}{bill[1:]}: {sum(sums.values()):.2f} USD", "", "| what | how many | USD |", "|---|---|---|"]
        lines += [f"| {line} | {count:,.1f} | {sums[line]:.3f} |" for line, (_, count) in entries.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the table into docs/cost.md, and shows it."""
    text = COST.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{COST} has no place for the table")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    COST.write_text(f"{before}{BEGIN}{table()}{END}{after}")
    print(table())


if __name__ == "__main__":
    main()
