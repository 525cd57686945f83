"""The local AWS where its patches make it behave as AWS does."""

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import emulator as emulators
import pytest
from deployed import Environment, NewEnvironment
from emulator import Emulator
from stack import Stack

Start = Callable[..., Emulator]


def test_a_page_of_another_origin_may_call_the_api(stack: Stack) -> None:
    asked = {
        "origin": "https://app.acme.example",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization",
    }
    request = urllib.request.Request(f"{stack.url}/users/joe", method="OPTIONS", headers=asked)
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status in (200, 204)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:4566"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-mode": "no-cors"},
        {"referer": "https://evil.example/"},
        {"user-agent": "Mozilla/5.0"},
    ],
)
def test_a_web_page_cannot_call_the_local_aws(emulator: Emulator, headers: dict[str, str]) -> None:
    key = "X-Amz-Credential=111111111111/20261128/us-east-1/iam/aws4_request&X-Amz-Signature=00"
    for method, path in [
        ("GET", f"/?Action=ListRoles&Version=2010-05-08&{key}"),
        ("GET", f"/2015-03-31/functions/?{key}"),
        ("POST", "/_ministack/config"),
        ("OPTIONS", "/2015-03-31/functions"),
        # Not paths of an API, although they begin like one.
        ("GET", f"/_aws/execute-api/?Action=ListRoles&Version=2010-05-08&{key}"),
        ("GET", f"/_aws/execute-api/b8a5736d?Action=ListRoles&Version=2010-05-08&{key}"),
        ("GET", f"/_aws/execute-api//y/z?Action=ListRoles&Version=2010-05-08&{key}"),
        ("GET", f"/_aws/execute-api/x/y?Action=ListRoles&Version=2010-05-08&{key}"),
    ]:
        request = urllib.request.Request(emulator.endpoint + path, method=method, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=60)
        assert error.value.code == 403
        assert "access-control-allow-origin" not in error.value.headers


def test_a_program_may_call_the_local_aws_through_a_proxy_on_this_machine(emulator: Emulator) -> None:
    url = f"{emulator.endpoint}/_ministack/health"
    for host in ("127.0.0.1:1", "localhost:1"):
        with urllib.request.urlopen(urllib.request.Request(url, headers={"host": host}), timeout=60) as response:
            assert response.status == 200


def test_log_streams_name_their_function(emulator: Emulator, stack: Stack, new_environment: NewEnvironment) -> None:
    environment: Environment = new_environment()
    environment.call("GET", "/environment")
    pages = (
        emulator.client("logs").get_paginator("describe_log_streams").paginate(logGroupName=stack.outputs["LogGroup"])
    )
    streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    assert any("/tenon-environments-get[$LATEST]" in stream for stream in streams)
    assert all("/tenon-" in stream for stream in streams)


def test_log_lines_are_found_page_by_page(emulator: Emulator) -> None:
    logs, group = emulator.client("logs"), "/tenon/pages"
    logs.create_log_group(logGroupName=group)
    now = int(time.time() * 1000)
    for stream in ("a", "b"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        lines = [{"timestamp": now + number // 7, "message": f"{stream}{number}"} for number in range(20)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)
    for size in (1, 6, 39, 40, 41):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, PaginationConfig={"PageSize": size}
        )
        found = [event["message"] for page in pages for event in page["events"]]
        assert sorted(found) == sorted(f"{stream}{number}" for stream in "ab" for number in range(20)), size


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts emulators in the folder of the test, and stops them after it."""
    with ExitStack() as started:

        def start(**options: Any) -> Emulator:
            emulator = emulators.start(tmp_path, **options)
            started.callback(emulator.stop)
            return emulator

        yield start


def test_an_emulator_whose_parent_was_killed_is_stopped_by_the_next_one(start: Start) -> None:
    left = start(persist=False)
    assert left.process
    present = start(persist=False)
    assert left.process.wait(10) == -signal.SIGKILL
    assert present.is_running()
    assert present.stop(), "it saves its state when it is asked to stop"


def test_a_state_that_cannot_be_written_does_not_count_as_saved(start: Start, tmp_path: Path) -> None:
    emulator = start(persist=True)
    (tmp_path / "state" / "sqs.json").mkdir(parents=True)
    assert not emulator.stop()


def test_saved_state_is_used_on_another_port(start: Start) -> None:
    first = start(persist=True)
    url = first.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    assert str(first.port) in url
    assert first.stop()
    second = start(persist=True, preferred_port=first.port + 1)
    assert second.port != first.port
    moved = second.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"]
    assert moved == url.replace(str(first.port), str(second.port))


def test_settings_of_a_real_account_do_not_concern_the_local_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_S3",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "SERVICES",
        "LAMBDA_EXECUTOR",
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", {**os.environ, **dict.fromkeys(foreign, "x"), "HOME": "/home/joe"})
        emulators.forget_settings()
        assert not set(foreign) & os.environ.keys()
        assert os.environ["HOME"] == "/home/joe"
