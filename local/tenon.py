"""Client of a deployed Tenon: the administration functions, and the API."""

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emulator import Emulator

# Importing it takes long, because of the SAM CLI, which clients of the API do not need.
if TYPE_CHECKING:
    from stack import Stack


def make_environment(emulator: Emulator, stack: "Stack", name: str, kind: str) -> str:
    """Creates an environment and returns its id."""
    return invoke(emulator, stack.outputs["EnvironmentsCreate"], {"name": name, "kind": kind})["environmentId"]


def make_key(emulator: Emulator, stack: "Stack", environment: str, name: str, scopes: list[str]) -> str:
    """Creates an API key of an environment and returns it in plain text."""
    payload = {"environmentId": environment, "name": name, "scopes": scopes}
    return invoke(emulator, stack.outputs["KeysCreate"], payload)["key"]


def invoke(emulator: Emulator, function: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Invokes a function of a stack, and returns its result."""
    response = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    body = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise RuntimeError(f"{function} failed: {body}")
    return body


@dataclass
class Response:
    """A response of the API."""

    status: int
    body: dict[str, Any]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would be sent to another host."""

    def redirect_request(self, *_: Any) -> None:
        """Refuses a redirect."""


DIRECT = urllib.request.build_opener(_NoRedirect)


def is_local(url: str) -> bool:
    """Whether a URL is that of a server on this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost")


def check_url(url: str) -> None:
    """Refuses a URL to which a key would be sent without TLS."""
    if urlsplit(url).scheme != "https" and not is_local(url):
        sys.exit(f"The API is called with https, except on this machine: {url}")


@dataclass
class Api:
    """The API, called with one API key."""

    url: str
    key: str | None = None

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        """Sends a request. Returns the response of any status."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.key:
            request.add_header("authorization", f"Bearer {self.key}")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with DIRECT.open(request, timeout=60) as response:
                return Response(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            return Response(error.code, json.load(error))
