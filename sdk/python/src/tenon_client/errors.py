"""Error of a rejected request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import FieldError


class TenonError(Exception):
    """Rejected request: a problem document, or an error of API Gateway, which has no `type`."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        #: Whole document.
        self.problem = problem
        #: Kind of problem without its prefix, such as `user-exists`; stable, for use in code.
        self.type: str | None = problem["type"].removeprefix("urn:tenon:problem:") if "type" in problem else None
        self.title: str = problem.get("title", f"HTTP status {status}")
        self.detail: str = problem.get("detail") or problem.get("message") or "no description"
        #: Invalid, taken or unprocessed fields.
        self.errors: list[FieldError] = problem.get("errors", [])
        # API Gateway rejects an invalid key without a problem document.
        is_unauthorized = status in (401, 403) and self.type is None and "message" in problem
        super().__init__(f"{status} {self.detail}{': check the API key' if is_unauthorized else ''}")
