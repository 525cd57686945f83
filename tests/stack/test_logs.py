"""The functions' logs."""

import json
import time
import tomllib
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from customer import Endpoint
from deployed import NewEnvironment
from emulator import Emulator
from paths import ROOT
from stack import Stack
from waiting import wait


def lines_of(emulator: Emulator, stack: Stack, since: float = 0) -> list[dict[str, Any]]:
    """Returns the lines that the functions have written since a time, in seconds since 1970."""
    logs = emulator.client("logs").get_paginator("filter_log_events")
    pages = logs.paginate(logGroupName=stack.outputs["LogGroup"], startTime=int(since * 1000))
    events = chain.from_iterable(page["events"] for page in pages)
    return [json.loads(event["message"]) for event in events if event["message"].startswith("{")]


def test_a_destination_that_is_disabled_is_named_and_counted(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    user = environment.call("POST", "/users", {"email": "joe@acme.example"}, 201)["userId"]
    workflow = environment.call("POST", "/workflows", {"userId": user, "name": "Orders"}, 201)["workflowId"]
    started = time.time()
    with Endpoint([410]) as endpoint:
        webhook = {"type": "webhook", "url": endpoint.url}
        destination = environment.call("POST", "/destinations", webhook, 201)["destinationId"]
        error = {"executionId": "1", "blockId": "1", "blockType": "http", "error": "Error"}
        environment.call("POST", f"/workflows/{workflow}/errors", error, 202)
        wait(lambda: not environment.call("GET", f"/destinations/{destination}")["enabled"], "disabled")

    def is_logged() -> bool:
        lines = lines_of(emulator, stack, started)
        disabled = [line for line in lines if line.get("fields", line).get("destination") == destination]
        messages = {line.get("fields", line).get("message") for line in disabled}
        is_counted = any(line.get("DisabledDestinations") for line in lines)
        return "destination disabled" in messages and is_counted

    wait(is_logged, "line and metric", pause=1)


def test_intact_items_are_never_called_unreadable(
    emulator: Emulator, stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    started = time.time()
    user = environment.call("POST", "/users", {"email": "joe@acme.example"}, 201)["userId"]
    workflow = environment.call("POST", "/workflows", {"userId": user, "name": "Orders"}, 201)["workflowId"]
    integration = {"name": "Shop", "workflows": [{"key": "orders", "name": "Sync orders"}]}
    environment.call("PUT", "/integrations/shop", integration, 201)
    environment.call("PUT", f"/users/{user}/installations/shop", {}, 201)
    with Endpoint([500, 200]) as endpoint:
        webhook = {"type": "webhook", "url": endpoint.url, "events": ["error", "workflow.*"]}
        path = f"/destinations/{environment.call('POST', '/destinations', webhook, 201)['destinationId']}"
        error = {"executionId": "1", "blockId": "1", "blockType": "http", "error": "Error"}
        environment.call("POST", f"/workflows/{workflow}/errors", error, 202)
        wait(lambda: environment.call("GET", path)["health"]["lastFailureAt"], "a failed attempt")
        environment.call("POST", f"{path}/replay", {"since": f"{datetime.fromtimestamp(started, UTC):%FT%TZ}"}, 202)
        wait(lambda: environment.call("GET", path)["health"]["lastSuccessAt"], "a delivery")
    lists = ("users", "workflows", "integrations", "installations", "destinations", "events", "logs", "errors/groups")
    for name in lists:
        environment.call("GET", f"/{name}?userId={user}" if name == "workflows" else f"/{name}")
    for name in ("replays", "deliveries"):
        environment.call("GET", f"{path}/{name}")
    lines = [json.dumps(line) for line in lines_of(emulator, stack, started)]
    assert lines
    assert [line for line in lines if "unreadable" in line and environment.id in line] == []


def test_every_log_line_names_the_version(emulator: Emulator, stack: Stack, new_environment: NewEnvironment) -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert new_environment().call("GET", "/environment")["version"] == version
    lines = lines_of(emulator, stack)
    assert lines
    for line in lines:
        assert line.get("version") == version, line
