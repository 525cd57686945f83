"""Compressed responses, as they pass through API Gateway."""

import gzip
import json
import urllib.error
import urllib.request
from email.message import Message

import pytest
from deployed import NewEnvironment
from stack import Stack

import sdk


def get(url: str, **headers: str) -> tuple[int, Message, bytes]:
    """Returns the status, headers and body of a response, without decompressing it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=named), timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize("path", ["/console", "/modal", "/tenon.js", "/tenon.global.js", "/openapi.json"])
def test_documents_are_compressed_and_have_an_etag_for_each_form(stack: Stack, path: str) -> None:
    url = stack.url + path
    _, plain, document = get(url, accept_encoding="identity")
    status, compressed, body = get(url, accept_encoding="gzip, deflate, br")
    assert (status, compressed["content-encoding"], plain["content-encoding"]) == (200, "gzip", None)
    assert len(body) < len(document) / 2
    assert gzip.decompress(body) == document
    for known in (plain, compressed):
        assert "Accept-Encoding" in known["vary"]
        status, _, body = get(url, accept_encoding="gzip", if_none_match=known["etag"])
        assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    ("path", "text"), [("/tenon.js", sdk.served(sdk.MODULE)), ("/tenon.global.js", sdk.served(sdk.CLASSIC))]
)
def test_scripts_are_those_whose_size_is_checked(stack: Stack, path: str, text: str) -> None:
    assert get(stack.url + path)[2].decode() == text


def test_a_long_list_is_compressed_and_an_etag_of_either_form_permits_a_change(
    stack: Stack, new_environment: NewEnvironment
) -> None:
    environment = new_environment()
    user = environment.call("POST", "/users", {"username": "joe", "metadata": {"notes": "long " * 250}}, 201)
    credential = {"authorization": f"Bearer {environment.backend_key}", "accept_encoding": "gzip"}
    for path in ("/users", f"/users/{user['userId']}"):
        status, headers, body = get(stack.url + path, **credential)
        assert (status, headers["content-encoding"], headers["content-type"]) == (200, "gzip", "application/json")
        assert json.loads(gzip.decompress(body)) == environment.call("GET", path)

    change = urllib.request.Request(
        f"{stack.url}/users/joe",
        b'{"fullName": "Joe"}',
        {"authorization": credential["authorization"], "content-type": "application/json", "if-match": headers["etag"]},
        method="PATCH",
    )
    with urllib.request.urlopen(change, timeout=60) as response:
        assert json.load(response)["fullName"] == "Joe"

    # No token or secret is compressed.
    status, headers, _ = get(f"{stack.url}/users/joe/token", **credential)
    assert (status, headers["cache-control"], headers["content-encoding"]) == (200, "no-store", None)
