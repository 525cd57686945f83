"""The local AWS where its patches make it behave as AWS does."""

import urllib.request

from conftest import Environment, NewEnvironment
from emulator import Emulator
from stack import Stack


def test_a_page_of_another_origin_may_call_the_api(stack: Stack) -> None:
    asked = {
        "origin": "https://app.acme.example",
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization",
    }
    request = urllib.request.Request(f"{stack.url}/users/joe", method="OPTIONS", headers=asked)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status in (200, 204)
        assert response.headers["access-control-allow-origin"] == "*"
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in response.headers


def test_log_streams_name_their_function(emulator: Emulator, stack: Stack, new_environment: NewEnvironment) -> None:
    environment: Environment = new_environment()
    environment.call("GET", "/environment")
    pages = (
        emulator.client("logs").get_paginator("describe_log_streams").paginate(logGroupName=stack.outputs["LogGroup"])
    )
    streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    assert any("/tenon-environments-get[$LATEST]" in stream for stream in streams)
    assert all("/tenon-" in stream for stream in streams)
