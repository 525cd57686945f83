"""Times of events.

EventBridge gives an event the `Time` of its entry in `PutEvents`. The emulator gives it the time of
the request.
"""

import contextvars
import functools
import json

from ministack.core.responses import json_response
from ministack.services import eventbridge

_given: contextvars.ContextVar[float | None] = contextvars.ContextVar("time of an event", default=None)


def install() -> None:
    """Puts the events of a request one by one, each at its own time."""
    now = eventbridge._now_ts
    eventbridge._now_ts = lambda: now() if _given.get() is None else _given.get()
    eventbridge._put_events = _at_given_times(eventbridge._put_events)


def _at_given_times(put_events):
    @functools.wraps(put_events)
    def put_at_given_times(data, **named):
        entries = data.get("Entries", [])
        if not any("Time" in entry for entry in entries) or len(entries) > 10:
            return put_events(data, **named)
        results, failed = [], 0
        for entry in entries:
            token = _given.set(entry.get("Time"))
            try:
                _, _, body = put_events({**data, "Entries": [entry]}, **named)
            finally:
                _given.reset(token)
            result = json.loads(body)
            results += result["Entries"]
            failed += result["FailedEntryCount"]
        return json_response({"FailedEntryCount": failed, "Entries": results})

    return put_at_given_times
