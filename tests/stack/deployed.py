"""Environments and schedules of the deployed stack, and keys and times as it writes them."""

from collections.abc import Callable
from datetime import datetime

import tenon
from emulator import Emulator
from stack import Stack


class Environment:
    """An environment of the deployed stack, with an API for each kind of key."""

    def __init__(self, emulator: Emulator, stack: Stack) -> None:
        self.id = tenon.make_environment(emulator, stack, "acme", "test")
        self.backend_key, self.engine_key = (
            tenon.make_key(emulator, stack, self.id, scope, [scope]) for scope in ("manage", "engine")
        )
        self.backend, self.engine = (tenon.Api(stack.url, key) for key in (self.backend_key, self.engine_key))

    def call(self, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
        """Calls the API as the back end, and returns the body of a response with this status."""
        answer = self.backend.call(method, path, body)
        assert answer.status == status, answer
        return answer.body


NewEnvironment = Callable[[], Environment]

# Number of partitions of a destination's deliveries, and of the pending ones.
DELIVERY_SHARDS = 8


def delivery_partitions(environment: str, destination: str, kind: str) -> list[str]:
    """Returns the partitions of a destination's deliveries: all (`attempts`) or those `pending`."""
    return [f"env#{environment}#destination#{destination}#{kind}#{shard}" for shard in range(DELIVERY_SHARDS)]


def timestamp(at: datetime) -> str:
    """Returns a time as Tenon writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_schedule(emulator: Emulator, function: str, *, enabled: bool) -> None:
    """Starts or stops invocations of a function by its schedule."""
    events = emulator.client("events")
    arn = emulator.client("lambda").get_function_configuration(FunctionName=function)["FunctionArn"]
    [rule] = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    (events.enable_rule if enabled else events.disable_rule)(Name=rule)
