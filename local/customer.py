"""The customer's side of a local run.

An AWS account with an event bus, a rule, a queue and access keys, and an endpoint for webhooks.
"""

import json
import queue
import secrets
import shlex
import threading
import time
from dataclasses import dataclass
from typing import Any

from emulator import CUSTOMER_ACCOUNT, REGION, Emulator
from serving import Request, Response, Server


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


class Endpoint(Server):
    """HTTP endpoint on loopback. Returns the given statuses in order, then repeats the last one."""

    methods = ("POST",)

    def __init__(self, answers: list[int]) -> None:
        super().__init__()
        self.url = f"{self.origin}/errors"
        self.received, self.answers, self.lock = queue.Queue[Request](), list(answers), threading.Lock()

    def respond(self, request: Request) -> Response:
        """Returns the next status."""
        self.received.put(request)
        with self.lock:
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Response(status, {}, b"")

    def receive(self, seconds: float) -> Request | None:
        """Returns the next request that arrives within a time, or None."""
        try:
            return self.received.get(timeout=seconds)
        except queue.Empty:
            return None


def main() -> None:
    """Creates a bus and access keys in the local AWS, and prints them as shell variables."""
    emulator = Emulator.of_environment()
    name = f"tenon-example-{secrets.token_hex(3)}"
    make_bus(emulator, name)
    keys = make_keys(emulator, name, name)
    print(f"BUS_NAME={name} BUS_ACCESS_KEY_ID={keys.access_key_id}")
    print(f"BUS_SECRET_ACCESS_KEY={shlex.quote(keys.secret_access_key)}")


if __name__ == "__main__":
    main()
