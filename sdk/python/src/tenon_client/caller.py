"""Requests with retries, pages and errors, on which the generated operations are built."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

import httpx
from typing_extensions import Self

from .errors import NOT_JSON, TenonError
from .retries import IN_PROGRESS, MAX_RUN, is_transient, pause, seconds_of
from .urls import checked_url

try:
    _VERSION = version("tenon-client")
except PackageNotFoundError:
    # Not installed, but part of the sources of an app.
    _VERSION = "source"


class Caller:
    """HTTP client of the API with one API key. It may be shared by threads."""

    def __init__(self, url: str, key: str, *, timeout: float = 30, retries: int = 3) -> None:
        """Creates a client.

        `url` is the base URL of the API, `key` an API key or a user token. `timeout` limits, in
        seconds, each step of an attempt: connecting, waiting for a connection of the pool, and
        every read and write. `retries` limits the number of repetitions of a request.

        Raises a `ValueError` if an argument is invalid.
        """
        # Callers may pass variables of the environment, so that the types are checked too.
        if not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
            raise ValueError("timeout must be a number of seconds greater than 0")
        if not isinstance(retries, int) or retries < 0:
            raise ValueError("retries must be a whole number of at least 0")
        self._retries = retries
        headers = {"authorization": f"Bearer {_checked_key(key)}", "user-agent": f"tenon-client/{_VERSION}"}
        # Without TLS there is only this machine, and no proxy must read the key.
        mounts = {"http://": httpx.HTTPTransport()}
        self._http = httpx.Client(base_url=checked_url(url), headers=headers, timeout=timeout, mounts=mounts)

    def __enter__(self) -> Self:
        """Returns the client, which is closed at the end of the context."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        is_repeatable: bool | None = None,
    ) -> httpx.Response:
        """Sends a request and returns its response, for example to read the `ETag`.

        Raises a `TenonError` if the request is rejected. A request that is repeatable, by default a
        GET, one that reveals a credential or issues a token, and a POST with the header
        `Idempotency-Key`, is repeated after network errors, so give this header only to endpoints
        that have it. It is also repeated after
        429, 502, 503, 504 and a 500 of API Gateway, and any request after 429. While an earlier
        attempt with the same idempotency key is still running, waits for it for up to half a
        minute.
        """
        # Otherwise the key could be sent to another server, or the request to another endpoint.
        if not path.startswith("/") or "#" in path or re.search(r"/\.+(/|$)", path.partition("?")[0]):
            raise ValueError(f"the path must begin with / and have no segments of dots, and no #: {path!r}")
        method = method.upper()
        given = {name.lower(): value for name, value in (headers or {}).items() if value is not None}
        if is_repeatable is None:
            changes_nothing = method == "GET" or (method == "POST" and path.endswith(("/reveal", "/token")))
            is_repeatable = changes_nothing or (method == "POST" and "idempotency-key" in given)
        request = self._http.build_request(
            method,
            path,
            json=body,
            # An empty query would remove that of the path.
            params={name: _text(value) for name, value in (query or {}).items() if value is not None} or None,
            headers=given,
        )
        attempt, waits, runs_until = 1, 0, None
        while True:
            is_last = attempt > self._retries
            try:
                response = self._send(request)
            except httpx.TransportError:
                if is_last or not is_repeatable:
                    raise
                wait = pause(attempt, None)
            else:
                if response.is_success:
                    return response
                error = _error(response)
                if error.type == IN_PROGRESS and self._retries > 0:
                    # This attempt was too early, and does not count.
                    waits += 1
                    runs_until = runs_until or time.monotonic() + MAX_RUN
                    remaining = runs_until - time.monotonic()
                    if remaining <= 0:
                        raise error
                    wait = pause(waits, error.retry_after)
                    time.sleep(remaining if wait is None else min(wait, remaining))
                    continue
                wait = pause(attempt, error.retry_after)
                if is_last or wait is None or not is_transient(error.status, error.type, is_repeatable):
                    raise error
            time.sleep(wait or 0)
            attempt += 1

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request)
        except httpx.DecodingError as error:
            # Such a response is as good as none, but is no `TransportError` of httpx.
            raise httpx.RemoteProtocolError(str(error), request=request) from error

    def _call(self, method: str, path: str, **options: Any) -> Any:
        """Returns the body of a response."""
        response = self.request(method, path, **options)
        try:
            return response.json()
        except ValueError:
            raise _error(response) from None

    def _create(self, path: str, body: Any, idempotency_key: str | None) -> Any:
        """Returns the body of the response to a POST with an idempotency key."""
        headers = {"idempotency-key": str(uuid.uuid4()) if idempotency_key is None else idempotency_key}
        return self._call("POST", path, body=body, headers=headers, is_repeatable=True)

    def _list(self, path: str, query: dict[str, Any]) -> Iterator[Any]:
        """Yields the items of a list, and requests its pages as needed."""
        cursor = None
        while True:
            page = self._call("GET", path, query={**query, "cursor": cursor})
            page = page if isinstance(page, dict) else {}
            items = page.get("data", page.get("errors"))
            if not isinstance(items, list):
                raise TenonError(200, {"detail": "the response is not a page of a list: check the URL of the API"})
            yield from items
            cursor = page.get("cursor")
            if not cursor:
                return
            # The cursor is behind the items that were skipped.
            query = {**query, "skip": None}


def path_segment(value: str) -> str:
    """Returns an id or a name as a segment of a path. Raises a `ValueError` if it cannot be one."""
    # Such a value could lead to another endpoint: API Gateway decodes paths before it routes them.
    # No id or name contains these characters.
    if not isinstance(value, str) or not value.strip(".") or re.search(r"[%/\\?#\x00-\x1f\x7f-\x9f]", value):
        raise ValueError(f"invalid value in a path: {value!r}")
    return quote(value, safe="")


def _checked_key(key: Any) -> str:
    """Returns the key. The error does not contain it, because errors are logged."""
    # Callers may pass an unset variable of the environment, so that the type is checked too.
    text = key.strip() if isinstance(key, str) else ""
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("key is missing or invalid: is TENON_BACKEND_KEY set?")
    return text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error(response: httpx.Response) -> TenonError:
    retry_after = seconds_of(response.headers.get("retry-after"))
    return TenonError(response.status_code, _document(response), retry_after, response.headers.get("apigw-requestid"))


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"detail": NOT_JSON}
