"""A client of a deployed Tenon: its IAM-only functions and its API."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from emulator import Emulator
from stack import Stack


def make_environment(emulator: Emulator, stack: Stack, name: str, kind: str) -> str:
    """Makes an environment. Returns its id."""
    return _invoke(emulator, stack.outputs["EnvironmentsCreate"], {"name": name, "kind": kind})["environmentId"]


def make_key(emulator: Emulator, stack: Stack, environment: str, name: str, scopes: list[str]) -> str:
    """Makes an API key of an environment. Returns its plaintext."""
    payload = {"environmentId": environment, "name": name, "scopes": scopes}
    return _invoke(emulator, stack.outputs["KeysCreate"], payload)["key"]


def _invoke(emulator: Emulator, function: str, payload: dict) -> dict:
    answer = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise RuntimeError(f"{function} refused: {body}")
    return body


@dataclass
class Answer:
    """What the API answered."""

    status: int
    body: dict


@dataclass
class Api:
    """The API as the holder of a key sees it."""

    url: str
    key: str | None = None

    def call(self, method: str, path: str, body: dict | None = None) -> Answer:
        """Sends a request and reads the answer, whatever its status."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.key:
            request.add_header("authorization", f"Bearer {self.key}")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, json.load(refusal))
