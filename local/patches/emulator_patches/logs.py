"""Names of log streams.

AWS puts the name of the function into the names of its log streams where functions share a log
group: `YYYY/MM/DD/function[version]id`. Source: AWS Lambda Developer Guide, "Configuring CloudWatch
log groups".
"""

import functools
import threading

from ministack.services import cloudwatch_logs, lambda_svc

_lock = threading.Lock()


def install() -> None:
    """Renames each stream when its lines are written."""
    lambda_svc._emit_lambda_logs = _named_by_function(lambda_svc._emit_lambda_logs)


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
