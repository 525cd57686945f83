"""Recursive loop detection for SQS, as strict as AWS.

Lambda gives every invocation a trace header with a lineage: one `hash:count` pair for each function
that has run in this chain of requests. The AWS SDK forwards the header, SQS stores it with the
message as `AWSTraceHeader`, and the invocation that the message triggers continues the lineage. A
function that has run 16 times in one chain is not invoked again, unless its `RecursiveLoop` is
`Allow`: the message goes to the queue's dead-letter queue, or is dropped.

Source: AWS Lambda Developer Guide, "Use Lambda recursive loop detection to prevent infinite loops".
The emulator itself counts direct invocations only.
"""

import contextvars
import functools
import json
import re
import secrets
import time
import zlib

from ministack.services import cloudwatch, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

# Number of times that a function may run in one chain of requests.
MAX_TURNS = 16

# The trace header of the request that is being handled.
_inbound = contextvars.ContextVar("tenon_inbound_trace", default="")
# The lineage of the messages that trigger the invocation at hand.
_lineage: contextvars.ContextVar[dict[str, int]] = contextvars.ContextVar("tenon_lineage")


def install() -> None:
    """Adds the lineage to invocations and messages, and stops loops."""
    sqs.handle_request = _with_inbound_trace(sqs.handle_request)
    sqs._build_send_sys_attrs = _with_trace_header(sqs._build_send_sys_attrs)
    lambda_svc._xray_trace_id_for_invocation = _trace_header
    lambda_svc._run_sqs_batch = _stopping_loops(lambda_svc._run_sqs_batch)
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    handlers["create"] = _keeping_recursive_loop(handlers["create"], 1)
    handlers["update"] = _keeping_recursive_loop(handlers["update"], 2)


def parse(header: str) -> dict[str, int]:
    """Returns the lineage in a trace header: how often each function, by its hash, has run in this
    chain.
    """
    found = re.search(r"(?:^|;)Lineage=([^;]*)", header)
    pairs = (entry.rsplit(":", 1) for entry in found[1].split("|")) if found else ()
    return {function: int(count) for function, count in pairs if count.isdecimal()}


def function_hash(config: dict) -> str:
    """Returns the hash that identifies a function in a lineage."""
    return f"{zlib.crc32(config.get('FunctionArn', '').encode()):08x}"


def _with_inbound_trace(handle_request):
    @functools.wraps(handle_request)
    async def handle(method, path, headers, body, query_params):
        _inbound.set(headers.get("x-amzn-trace-id", ""))
        return await handle_request(method, path, headers, body, query_params)

    return handle


def _with_trace_header(build):
    @functools.wraps(build)
    def build_with_trace_header(now, given):
        attributes = build(now, given)
        if _inbound.get():
            attributes.setdefault("AWSTraceHeader", _inbound.get())
        return attributes

    return build_with_trace_header


def _trace_header(config: dict, inbound_trace_header: str | None = None) -> str:
    lineage = dict(_lineage.get({}))
    this = function_hash(config)
    lineage[this] = lineage.get(this, 0) + 1
    pairs = "|".join(f"{function}:{count}" for function, count in lineage.items())
    return (
        f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0;Lineage={pairs}"
    )


def _stopping_loops(run_batch):
    @functools.wraps(run_batch)
    def run(mapping, function, event, batch, queue_url, queue_name):
        lineage: dict[str, int] = {}
        for record in event["Records"]:
            for name, count in parse(record["attributes"].get("AWSTraceHeader", "")).items():
                lineage[name] = max(count, lineage.get(name, 0))
        config = function.get("config") or function
        turns = lineage.get(function_hash(config), 0)
        if turns >= MAX_TURNS and function.get("recursive_loop", "Terminate") != "Allow":
            _drop(config["FunctionName"], queue_url, batch)
            return None
        token = _lineage.set(lineage)
        try:
            return run_batch(mapping, function, event, batch, queue_url, queue_name)
        finally:
            _lineage.reset(token)

    return run


def _drop(name: str, queue_url: str, batch: list[dict]) -> None:
    """Moves a batch to the queue's dead-letter queue, and counts it in the metric that AWS has for
    it.
    """
    cloudwatch.record_metric("AWS/Lambda", "RecursiveInvocationsDropped", 1, "Count", {"FunctionName": name})
    queue = sqs._queues[queue_url]
    target = json.loads(queue["attributes"].get("RedrivePolicy") or "{}").get("deadLetterTargetArn")
    dead_letters = sqs._queue_by_arn(target) if target else None
    for message in batch:
        if dead_letters is not None:
            moved = {**message, "receipt_handle": None, "visible_at": time.time()}
            # A message that an operator moves back begins a new chain.
            moved["sys"] = {name: value for name, value in message["sys"].items() if name != "AWSTraceHeader"}
            dead_letters["messages"].append(moved)
    sqs._delete_messages_for_esm(queue_url, {message["receipt_handle"] for message in batch})


def _keeping_recursive_loop(provision, properties_at: int):
    @functools.wraps(provision)
    def provision_function(*arguments, **named):
        result = provision(*arguments, **named)
        lambda_svc._functions[result[0]]["recursive_loop"] = arguments[properties_at].get("RecursiveLoop", "Terminate")
        return result

    return provision_function
