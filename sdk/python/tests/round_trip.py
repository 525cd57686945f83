"""Creates a user, verifies its token, and records and lists errors of the stack of TENON_URL."""

import os
from collections.abc import Callable

import jwt

from tenon_client import Tenon, TenonError, TokenVerifier
from tenon_client.models import RecordError


def main() -> None:
    """Makes the requests and checks their responses."""
    url = os.environ["TENON_URL"]
    backend = Tenon(url, os.environ["TENON_BACKEND_KEY"])
    engine = Tenon(url, os.environ["TENON_ENGINE_KEY"])

    user = backend.create_user({"username": "python", "metadata": {"plan": "pro"}}, idempotency_key="round-trip")
    again = backend.create_user({"username": "python", "metadata": {"plan": "pro"}}, idempotency_key="round-trip")
    assert again == user
    user_id = user["userId"]

    taken = rejection(lambda: backend.create_user({"username": "python"}))
    assert taken.type == "user-exists", taken
    assert [error["pointer"] for error in taken.errors] == ["/username"]

    etag = backend.request("GET", f"/users/{user_id}").headers["etag"]
    assert backend.patch_user(user_id, {"fullName": "Python"}, if_match=etag)["fullName"] == "Python"
    assert rejection(lambda: backend.patch_user(user_id, {"fullName": "x"}, if_match=etag)).status == 412

    created = backend.put_integration("python-orders", {"name": "Orders", "workflows": [{"key": "a", "name": "A"}]})
    assert backend.put_integration("python-orders", backend.get_integration("python-orders")) == created

    token = backend.create_token(user_id, {"mode": "read"})["token"]
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    verifier = TokenVerifier(url, issuer=issuer, environment_id=backend.get_environment()["environmentId"])
    claims = verifier.verify(token)
    assert (claims["sub"], claims["mode"]) == (user_id, "read")
    assert Tenon(url, token).get_session()["user"]["userId"] == user_id

    workflow_id = backend.create_workflow({"userId": user_id, "name": "Orders"})["workflowId"]
    error: RecordError = {
        "executionId": "run-1",
        "blockId": "block-1",
        "blockType": "shopify",
        "error": "403 Forbidden",
    }
    ids = engine.record_errors(workflow_id, {"errors": [error, error, error]})["ids"]
    assert sorted(error["_id"] for error in backend.list_errors(workflow_id, limit=2)) == sorted(ids)


def rejection(request: Callable[[], object]) -> TenonError:
    """Returns the error of a request."""
    try:
        response = request()
    except TenonError as error:
        return error
    raise AssertionError(response)


if __name__ == "__main__":
    main()
