"""The customer's side of a local run.

An AWS account with an event bus, a rule, a queue and access keys, and an endpoint for webhooks.
"""

import http.server
import json
import os
import queue
import secrets
import shlex
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from serving import Serving


@dataclass
class Keys:
    """AWS access keys of an IAM user."""

    access_key_id: str
    secret_access_key: str


def make_keys(emulator: Emulator, name: str, buses: str) -> Keys:
    """Creates an IAM user that may only put events on the buses that match a name pattern.

    An existing user gets new keys, and loses the former ones.
    """
    iam = emulator.client("iam", CUSTOMER_ACCOUNT)
    if not any(user["UserName"] == name for user in iam.list_users()["Users"]):
        iam.create_user(UserName=name)
    statement = {
        "Effect": "Allow",
        "Action": "events:PutEvents",
        "Resource": f"arn:aws:events:{REGION}:{CUSTOMER_ACCOUNT}:event-bus/{buses}",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy(UserName=name, PolicyName="put-events", PolicyDocument=json.dumps(policy))
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(key["AccessKeyId"], key["SecretAccessKey"])


@dataclass
class Bus:
    """An event bus whose events arrive in a queue."""

    emulator: Emulator
    name: str
    queue_url: str

    def receive(self, seconds: float, source: str = "tenon.errors") -> dict[str, Any] | None:
        """Returns the next event of a source that arrives within a time, or None.

        Discards events of other sources, and test events.
        """
        sqs, deadline = self.emulator.client("sqs", CUSTOMER_ACCOUNT), time.monotonic() + seconds
        while time.monotonic() < deadline:
            received = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=1, WaitTimeSeconds=1)
            for message in received.get("Messages", []):
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                if event["source"] == source and event["detail-type"] != "Workflow Error Test":
                    return event
        return None


def make_bus(emulator: Emulator, name: str) -> Bus:
    """Creates an event bus, and a rule that sends all events of Tenon to a new queue."""
    events, sqs = emulator.client("events", CUSTOMER_ACCOUNT), emulator.client("sqs", CUSTOMER_ACCOUNT)
    if not any(bus["Name"] == name for bus in events.list_event_buses()["EventBuses"]):
        events.create_event_bus(Name=name)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": ["tenon.errors", "tenon.events"]}))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    allow = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(allow)})
    return Bus(emulator, name, url)


@dataclass
class Received:
    """Request that an endpoint received, with header names in lower case."""

    headers: dict[str, str]
    body: bytes


class Endpoint(Serving):
    """HTTP endpoint on loopback. Returns the given statuses in order, then repeats the last one."""

    def __init__(self, answers: list[int]) -> None:
        received: queue.Queue[Received] = queue.Queue()
        self.received, self.answers = received, list(answers)
        remaining, lock = self.answers, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.put(Received({name.lower(): value for name, value in self.headers.items()}, body))
                with lock:
                    status = remaining.pop(0) if len(remaining) > 1 else remaining[0]
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            # A drain opens 40 concurrent connections. Refused ones would be retried for seconds.
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """URL of the endpoint."""
        return f"http://127.0.0.1:{self.server.server_port}/errors"

    def receive(self, seconds: float) -> Received | None:
        """Returns the next request that arrives within a time, or None."""
        try:
            return self.received.get(timeout=seconds)
        except queue.Empty:
            return None


def main() -> None:
    """Creates a bus and access keys in the local AWS, and prints them as shell variables."""
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
    if port is None:
        sys.exit("AWS_ENDPOINT_URL must be the endpoint of the local AWS.")
    emulator = Emulator(port, os.environ["AWS_SECRET_ACCESS_KEY"], None)
    name = f"tenon-example-{secrets.token_hex(3)}"
    make_bus(emulator, name)
    keys = make_keys(emulator, name, name)
    print(f"BUS_NAME={name} BUS_ACCESS_KEY_ID={keys.access_key_id}")
    print(f"BUS_SECRET_ACCESS_KEY={shlex.quote(keys.secret_access_key)}")


if __name__ == "__main__":
    main()
