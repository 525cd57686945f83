"""Error of a rejected request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import FieldError

NOT_JSON = "the response is not a JSON object: check the URL of the API"


class TenonError(Exception):
    """Rejected request: a problem document, or an error of API Gateway, which has no `type`."""

    def __init__(
        self, status: int, problem: dict[str, Any], retry_after: int | None = None, request_id: str | None = None
    ) -> None:
        self.status = status
        #: Seconds after which the API asks to repeat the request, if it does.
        self.retry_after = retry_after
        #: Whole document.
        self.problem = problem
        # A proxy may answer with anything.
        type_, title, detail, message = (_text(problem, name) for name in ("type", "title", "detail", "message"))
        #: Kind of problem without its prefix, such as `user-exists`; stable, for use in code.
        self.type: str | None = type_ and type_.removeprefix("urn:tenon:problem:")
        self.title: str = title or f"HTTP status {status}"
        self.detail: str = detail or message or "no description"
        #: Id of the request, by which the operator finds it in the logs.
        self.request_id: str | None = _text(problem, "instance") or request_id
        errors = problem.get("errors")
        #: Invalid, taken or unprocessed fields.
        self.errors: list[FieldError] = errors if isinstance(errors, list) else []
        # API Gateway rejects an invalid key without a problem document.
        is_unauthorized = status in (401, 403) and self.type is None and message is not None
        # Tenon itself explains what it does not find.
        is_elsewhere = status == 404 and self.type is None and detail != NOT_JSON
        hint = ": check the API key" if is_unauthorized else ": check the URL of the API" if is_elsewhere else ""
        super().__init__(f"{status} {self.detail}{hint}")

    def __reduce__(self) -> tuple[type[TenonError], tuple[Any, ...]]:
        """Returns what a copy is made of, for example in another process."""
        return type(self), (self.status, self.problem, self.retry_after, self.request_id)


def _text(problem: dict[str, Any], name: str) -> str | None:
    value = problem.get(name)
    return value if isinstance(value, str) and value else None
