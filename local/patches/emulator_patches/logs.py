"""Names of log streams, and pages of their lines.

AWS puts the name of the function into the names of its log streams where functions share a log
group: `YYYY/MM/DD/function[version]id`. Source: AWS Lambda Developer Guide, "Configuring CloudWatch
log groups".
"""

import functools
import json
import threading

from ministack.core.responses import json_response
from ministack.services import cloudwatch_logs, lambda_svc

_lock = threading.Lock()


def install() -> None:
    """Renames each stream when its lines are written, and finds more than 10,000 lines."""
    lambda_svc._emit_lambda_logs = _named_by_function(lambda_svc._emit_lambda_logs)
    cloudwatch_logs._filter_log_events = _in_pages(cloudwatch_logs._filter_log_events)


def _in_pages(filter_events):
    """Adds `nextToken`: the time of the last line, and the number of earlier lines of that time."""

    @functools.wraps(filter_events)
    def filter_page(request):
        time, _, count = request.get("nextToken", "").partition("/")
        skipped = int(count or 0)
        limit = min(request.get("limit", 10_000) + skipped, 10_000)
        since = {"startTime": int(time)} if time else {}
        status, headers, body = filter_events({**request, **since, "limit": limit})
        found = json.loads(body).get("events")
        if found is None:
            return status, headers, body
        if len(found) < limit:
            return json_response({"events": found[skipped:]})
        last = found[-1]["timestamp"]
        same_time = sum(event["timestamp"] == last for event in found)
        return json_response({"events": found[skipped:], "nextToken": f"{last}/{same_time}"})

    return filter_page


def _named_by_function(emit):
    @functools.wraps(emit)
    def emit_renamed(function, *arguments, **named):
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        with _lock:
            emit(function, *arguments, **named)
            streams = cloudwatch_logs._log_groups.get(group, {}).get("streams", {})
            newest = next(reversed(streams), "")
            date, separator, stream = newest.rpartition("/")
            if stream.startswith("["):
                streams[f"{date}{separator}{config['FunctionName']}{stream}"] = streams.pop(newest)

    return emit_renamed
