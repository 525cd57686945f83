"""Waits until something is true, or until AWS has done something."""

import time
from collections.abc import Callable
from typing import Any

# Seconds after which a test gives up. A busy machine takes long; only failures take all of it.
PATIENCE = 120


def wait(condition: Callable[[], Any], name: str, seconds: float = PATIENCE, pause: float = 0.02) -> Any:
    """Waits until a condition returns a true value, and returns it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {name}"
        time.sleep(pause)
        pause = max(pause, min(pause * 1.3, 0.2))
    return value


def wait_for_aws(client: Any, waiter: str, **resource: str) -> None:
    """Waits until a waiter of an AWS client has seen the state of a resource that it waits for."""
    client.get_waiter(waiter).wait(**resource, WaiterConfig={"Delay": 1, "MaxAttempts": 900})
