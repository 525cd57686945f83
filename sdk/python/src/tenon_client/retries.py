"""Rules for the repetition of requests."""

import random

_TRANSIENT = {429, 502, 503, 504}
_MAX_PAUSE = 60  # seconds; a longer pause is left to the caller, and none grows longer
_FIRST_PAUSE = 0.5


def is_transient(status: int, type_: str | None, is_repeatable: bool) -> bool:
    """Decides whether an attempt that was rejected is repeated."""
    # API Gateway rejects with 429 before a function starts: nothing was done yet.
    if status == 429:
        return True
    # An earlier attempt with the same idempotency key is still running.
    return is_repeatable and (status in _TRANSIENT or type_ == "idempotency-key-in-progress")


def seconds_of(retry_after: str | None) -> int | None:
    """Returns the seconds of a `Retry-After`. HTTP also has dates, but Tenon sends seconds."""
    return int(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def pause(attempt: int, retry_after: int | None) -> float | None:
    """Returns the seconds to wait after an attempt, counted from 1; None if they are too many."""
    if retry_after is not None:
        return retry_after if retry_after <= _MAX_PAUSE else None
    return min(_FIRST_PAUSE * 2 ** (attempt - 1), _MAX_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - no secret
