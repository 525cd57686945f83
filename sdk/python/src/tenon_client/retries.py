"""Rules for the repetition of requests."""

import random

_TRANSIENT = {429, 502, 503, 504}
_MAX_PAUSE = 60  # seconds; a longer `Retry-After` is left to the caller
_FIRST_PAUSE = 0.5
_LEAST_PAUSE = 0.05  # after `Retry-After: 0`, so that pauses can grow
_LONGEST_PAUSE = 8  # unless `Retry-After` asks for a longer one

#: Problem of a request whose earlier attempt with the same idempotency key is still running.
IN_PROGRESS = "idempotency-key-in-progress"
#: Seconds after which that attempt has ended in any case: the time limit of API Gateway.
MAX_RUN = 30


def is_transient(status: int, type_: str | None, is_repeatable: bool) -> bool:
    """Decides whether an attempt that was rejected is repeated."""
    # API Gateway rejects with 429 before a function starts: nothing was done yet.
    if status == 429:
        return True
    # API Gateway reports a function that crashed or ran out of time without a problem document.
    is_of_gateway = status == 500 and type_ is None
    return is_repeatable and (status in _TRANSIENT or is_of_gateway)


def seconds_of(retry_after: str | None) -> int | None:
    """Returns the seconds of a `Retry-After`. HTTP also has dates, but Tenon sends seconds."""
    return int(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def pause(attempt: int, retry_after: int | None) -> float | None:
    """Returns the seconds to wait after an attempt, counted from 1; None if they are too many.

    They grow, and differ between clients, so that the clients do not return together.
    """
    jitter, growth = random.uniform(0.5, 1), 2 ** (attempt - 1)  # noqa: S311 - no secret
    if retry_after is None:
        return min(_FIRST_PAUSE * growth, _LONGEST_PAUSE) * jitter
    if retry_after > _MAX_PAUSE:
        return None
    asked = max(retry_after, _LEAST_PAUSE)
    return max(asked, min(asked * growth, _LONGEST_PAUSE)) * (0.5 + jitter)
