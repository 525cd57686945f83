"""Error of a rejected request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import FieldError


class TenonError(Exception):
    """Rejected request: a problem document, or an error of API Gateway, which has no `type`."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: int | None = None) -> None:
        self.status = status
        #: Seconds after which the API asks to repeat the request, if it does.
        self.retry_after = retry_after
        #: Whole document.
        self.problem = problem
        #: Kind of problem without its prefix, such as `user-exists`; stable, for use in code.
        # A proxy may answer with anything.
        type_ = problem.get("type")
        self.type: str | None = type_.removeprefix("urn:tenon:problem:") if isinstance(type_, str) else None
        self.title: str = problem.get("title", f"HTTP status {status}")
        self.detail: str = problem.get("detail") or problem.get("message") or "no description"
        #: Invalid, taken or unprocessed fields.
        self.errors: list[FieldError] = problem.get("errors", [])
        # API Gateway rejects an invalid key without a problem document.
        is_unauthorized = status in (401, 403) and self.type is None and "message" in problem
        super().__init__(f"{status} {self.detail}{': check the API key' if is_unauthorized else ''}")

    def __reduce__(self) -> tuple[type[TenonError], tuple[Any, ...]]:
        """Returns what a copy is made of, for example in another process."""
        return type(self), (self.status, self.problem, self.retry_after)
