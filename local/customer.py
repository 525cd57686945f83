"""What is the customer's own: an AWS account with a bus, a rule and a queue behind it, and an IAM user's keys that may put
events there; and an HTTP endpoint for webhooks."""

import http.server
import json
import queue
import threading
import time
from dataclasses import dataclass

from emulator import CUSTOMER_ACCOUNT, REGION, Emulator


@dataclass
class Keys:
    """AWS keys of an IAM user."""

    access_key_id: str
    secret_access_key: str


def make_keys(emulator: Emulator, name: str, buses: str) -> Keys:
    """Makes an IAM user that may put events on the buses of a name pattern, and nothing else."""
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
    """A bus whose events arrive in a queue."""

    emulator: Emulator
    name: str
    queue_url: str

    def receive(self, seconds: float) -> dict | None:
        """The next error that arrives within a time, or nothing; test events are passed over."""
        sqs, deadline = self.emulator.client("sqs", CUSTOMER_ACCOUNT), time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=1).get("Messages", []):
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                if event["detail-type"] == "Workflow Error":
                    return event
            time.sleep(0.01)
        return None


def make_bus(emulator: Emulator, name: str) -> Bus:
    """Makes a bus, and a rule that sends all of Tenon's events from there to a new, empty queue."""
    events, sqs = emulator.client("events", CUSTOMER_ACCOUNT), emulator.client("sqs", CUSTOMER_ACCOUNT)
    if not any(bus["Name"] == name for bus in events.list_event_buses()["EventBuses"]):
        events.create_event_bus(Name=name)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": ["tenon.errors"]}))
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
    """A request that an endpoint has received."""

    headers: dict[str, str]
    body: bytes


class Endpoint:
    """An HTTP endpoint on loopback that answers with one status after the other, and then with the last one."""

    def __init__(self, answers: list[int]):
        received: queue.Queue[Received] = queue.Queue()
        self.received, self.answers = received, list(answers)
        left = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received.put(Received({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/errors"

    def receive(self, seconds: float) -> Received | None:
        """The next request that comes in within a time, or nothing."""
        try:
            return self.received.get(timeout=seconds)
        except queue.Empty:
            return None

    def __enter__(self) -> "Endpoint":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()
