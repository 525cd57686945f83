"""Requests, retries, pages and errors of the client, against a fake server."""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from fake_server import Answer, FakeServer, answer, busy, disconnect, problem
from typing_extensions import get_type_hints, is_typeddict

from tenon_client import Tenon, TenonError, models
from tenon_client.retries import pause

Serve = Callable[..., tuple[FakeServer, Tenon]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with answers. Returns it with a client."""
    with ExitStack() as stack:

        def start(*answers: Answer, **settings: float) -> tuple[FakeServer, Tenon]:
            server = stack.enter_context(FakeServer(*answers))
            return server, stack.enter_context(Tenon(f"{server.url}/base/", "tn_test_key", **settings))

        yield start


def test_request_has_the_key_the_encoded_path_the_query_and_the_body(serve: Serve) -> None:
    server, tenon = serve(answer(200, {}), answer(200, {}))
    tenon.patch_user("a+b@acme.example", {"fullName": None}, if_match='"0"')
    tenon.get_token("joe", ttl_seconds=60)
    patch, get = server.received
    assert (patch.method, patch.path) == ("PATCH", "/base/users/a%2Bb%40acme.example")
    assert patch.headers["authorization"] == "Bearer tn_test_key"
    assert patch.headers["if-match"] == '"0"'
    assert patch.body == {"fullName": None}
    assert get.path == "/base/users/joe/token?ttlSeconds=60"
    assert "content-type" not in get.headers


@pytest.mark.parametrize("key", ["", "  ", "tn_secret\nx", "tn_secret x", "tn_sécret", None, 1])
def test_invalid_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ValueError, match=r"^key is missing or invalid: is TENON_BACKEND_KEY set\?$"):
        Tenon("https://api.example.com", key)


INVALID_URLS = [
    "",
    "api.example.com",
    "ftp://api.example.com",
    "https://",
    "http://x:y",
    "http://api.example.com",
    "https://api.example.com?x=1",
    "https://api.example.com#x",
    "https://joe:secret@api.example.com",
    None,
]


@pytest.mark.parametrize("url", INVALID_URLS)
def test_invalid_url_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match=r"^url must be an https URL, or http for this machine: is TENON_URL set\?$"):
        Tenon(url, "tn_test_key")


@pytest.mark.parametrize(
    "settings", [{"timeout": value} for value in ("30", None, 0, float("inf"))] + [{"retries": "3"}, {"retries": -1}]
)
def test_invalid_limit_is_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} must be "):
        Tenon("https://api.example.com", "tn_test_key", **settings)


def test_key_is_trimmed() -> None:
    with FakeServer(answer(200, {})) as server, Tenon(server.url, "tn_test_key\n") as tenon:
        tenon.get_user("joe")
    assert server.received[0].headers["authorization"] == "Bearer tn_test_key"


def test_error_of_api_gateway_for_an_invalid_key_mentions_the_key(serve: Serve) -> None:
    _, tenon = serve(answer(403, {"message": "Forbidden"}), problem(403, "not-allowed"), answer(403, "<html>"))
    errors: list[TenonError] = []
    for _ in range(3):
        with pytest.raises(TenonError) as raised:
            tenon.get_user("joe")
        errors.append(raised.value)
    assert str(errors[0]) == "403 Forbidden: check the API key"
    assert errors[0].detail == "Forbidden"
    assert not any("API key" in str(error) for error in errors[1:])


def test_request_returns_the_etag(serve: Serve) -> None:
    _, tenon = serve(answer(200, {"userId": "1"}, {"etag": '"1"'}))
    assert tenon.request("GET", "/users/joe").headers["etag"] == '"1"'


@pytest.mark.parametrize(
    "user", ["", ".", "..", "joe/token", "joe%2Ftoken", "joe\\token", "joe?", "joe#", "joe\n", None, 7]
)
def test_value_that_changes_the_path_is_refused_before_it_is_sent(serve: Serve, user: Any) -> None:
    server, tenon = serve()
    with pytest.raises(ValueError, match="invalid value"):
        tenon.get_user(user)
    assert server.received == []


@pytest.mark.parametrize(
    "path", ["users", "/..", "/users/../environment", "/users/.?limit=1", "/users#joe", "/users/."]
)
def test_path_that_leads_elsewhere_is_refused_before_it_is_sent(serve: Serve, path: str) -> None:
    server, tenon = serve()
    with pytest.raises(ValueError, match="the path must begin with /"):
        tenon.request("GET", path)
    assert server.received == []


def test_post_that_creates_is_repeated_with_the_same_generated_key(serve: Serve) -> None:
    in_progress = problem(409, "idempotency-key-in-progress")
    server, tenon = serve(disconnect, busy, in_progress, answer(201, {"userId": "1"}))
    assert tenon.create_user({"username": "joe"})["userId"] == "1"
    keys = [request.headers["idempotency-key"] for request in server.received]
    assert len(keys) == 4
    assert len(keys[0]) == 36
    assert len(set(keys)) == 1
    assert server.received[3].body == {"username": "joe"}


def test_post_whose_earlier_attempt_still_runs_waits_for_it_unless_nothing_is_repeated(serve: Serve) -> None:
    document = {"type": "urn:tenon:problem:idempotency-key-in-progress"}
    in_progress = answer(409, document, {"retry-after": "0"})
    _, tenon = serve(disconnect, *[in_progress] * 4, answer(201, {"userId": "1"}))
    assert tenon.create_user({"username": "joe"})["userId"] == "1"
    _, once = serve(in_progress, retries=0)
    with pytest.raises(TenonError) as raised:
        once.create_user({"username": "joe"})
    assert raised.value.type == "idempotency-key-in-progress"


def test_500_of_api_gateway_is_repeated_and_one_of_tenon_is_not(serve: Serve) -> None:
    crashed = answer(500, {"message": "Internal Server Error"}, {"retry-after": "0"})
    _, tenon = serve(crashed, answer(201, {"userId": "1"}), problem(500, "internal"))
    assert tenon.create_user({"username": "joe"})["userId"] == "1"
    with pytest.raises(TenonError) as raised:
        tenon.create_user({"username": "joe"})
    assert raised.value.type == "internal"


def test_pauses_grow_differ_and_are_never_shorter_than_retry_after() -> None:
    for attempt in range(1, 10):
        growth = 2 ** (attempt - 1)
        assert min(0.25 * growth, 4) <= (pause(attempt, None) or 0) <= min(0.5 * growth, 8)
        assert min(3 * growth, 8) <= (pause(attempt, 3) or 0) <= 12
    assert pause(1, 1) != pause(1, 1)
    assert pause(1, 61) is None


def test_pauses_after_a_retry_after_of_zero_are_short_at_first_and_grow() -> None:
    assert 0 < (pause(1, 0) or 0) < 0.1
    assert (pause(10, 0) or 0) >= 8


def test_each_post_has_a_key_of_its_own_and_a_given_one_is_used(serve: Serve) -> None:
    server, tenon = serve(*[answer(201, {})] * 3)
    tenon.create_user({"username": "joe"})
    tenon.create_user({"username": "kim"})
    tenon.create_user({"username": "lee"}, idempotency_key="mine")
    keys = [request.headers["idempotency-key"] for request in server.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_get_is_repeated_after_502_504_and_429(serve: Serve) -> None:
    rejected = [answer(status, {"message": "later"}, {"retry-after": "0"}) for status in (502, 504, 429)]
    _, tenon = serve(*rejected, answer(200, {"userId": "1"}))
    assert tenon.get_user("joe")["userId"] == "1"


def test_request_that_issues_a_token_is_repeated(serve: Serve) -> None:
    _, tenon = serve(busy, disconnect, answer(200, {"token": "a"}))
    assert tenon.create_token("joe", {})["token"] == "a"
    _, tenon = serve(busy, disconnect, answer(200, {"token": "a"}))
    assert tenon.request("POST", "/users/joe/token").json() == {"token": "a"}


def test_request_that_reveals_a_credential_is_repeated(serve: Serve) -> None:
    _, tenon = serve(busy, disconnect, answer(200, {"data": {"token": "a"}}))
    assert tenon.reveal_credential("joe", "1")["data"] == {"token": "a"}
    _, tenon = serve(busy, disconnect, answer(200, {"data": {"token": "a"}}, {"etag": '"1"'}))
    assert tenon.request("POST", "/users/joe/credentials/1/reveal").headers["etag"] == '"1"'


def test_other_requests_are_repeated_only_after_429(serve: Serve) -> None:
    limited = answer(429, {"message": "Too Many Requests"}, {"retry-after": "0"})
    server, tenon = serve(limited, busy, disconnect)
    with pytest.raises(TenonError, match="503 busy"):
        tenon.enable_user("joe")
    with pytest.raises(httpx.TransportError):
        tenon.delete_user("joe")
    assert len(server.received) == 3
    assert "idempotency-key" not in server.received[0].headers


def test_repetitions_are_limited(serve: Serve) -> None:
    server, tenon = serve(busy, busy, retries=1)
    with pytest.raises(TenonError, match="busy"):
        tenon.get_user("joe")
    assert len(server.received) == 2


def test_long_retry_after_is_left_to_the_caller(serve: Serve) -> None:
    server, tenon = serve(answer(503, {"message": "closed"}, {"retry-after": "86400"}))
    with pytest.raises(TenonError, match="closed") as raised:
        tenon.get_user("joe")
    assert len(server.received) == 1
    assert raised.value.retry_after == 86400
    # Errors are copied, for example to another process.
    copied = copy.copy(raised.value)
    assert (str(copied), copied.problem, copied.retry_after) == ("503 closed", {"message": "closed"}, 86400)


def test_attempt_without_a_response_ends_after_the_timeout(serve: Serve) -> None:
    released = threading.Event()
    _, tenon = serve(lambda _: released.wait(60) and None, timeout=0.05, retries=0)
    try:
        with pytest.raises(httpx.TimeoutException):
            tenon.get_environment()
    finally:
        released.set()


def test_list_is_read_page_by_page_with_its_filters(serve: Serve) -> None:
    server, tenon = serve(
        answer(200, {"data": [{"userId": "1"}], "cursor": "a b"}),
        answer(200, {"data": [], "cursor": "c"}),
        answer(200, {"data": [{"userId": "2"}]}),
    )
    assert [user["userId"] for user in tenon.list_users(status="active", limit=1)] == ["1", "2"]
    cursors = ["", "&cursor=a+b", "&cursor=c"]
    assert [request.path for request in server.received] == [
        f"/base/users?status=active&limit=1{cursor}" for cursor in cursors
    ]


def test_skipped_items_of_a_list_are_skipped_once(serve: Serve) -> None:
    server, tenon = serve(answer(200, {"errors": [], "cursor": "c"}), answer(200, {"errors": []}))
    assert list(tenon.list_logs(skip=10)) == []
    assert [request.path for request in server.received] == ["/base/logs?skip=10", "/base/logs?cursor=c"]


def test_path_of_a_request_keeps_its_query_and_belongs_to_the_api(serve: Serve) -> None:
    server, tenon = serve(answer(200, {}))
    tenon.request("GET", "/users?status=disabled")
    assert server.received[0].path == "/base/users?status=disabled"
    with pytest.raises(ValueError, match="must begin with /"):
        tenon.request("GET", "https://other.example/users")


def test_list_requests_no_page_before_it_is_needed(serve: Serve) -> None:
    server, tenon = serve(answer(200, {"errors": [{"_id": "1"}], "cursor": "c"}))
    assert next(tenon.list_logs())["_id"] == "1"
    assert len(server.received) == 1


def test_problem_document_is_an_error_with_its_fields(serve: Serve) -> None:
    errors = [{"pointer": "/email", "detail": "is taken"}]
    _, tenon = serve(problem(409, "user-exists", errors=errors, instance="r1"))
    with pytest.raises(TenonError, match="409 detail of user-exists") as raised:
        tenon.create_user({"email": "joe@acme.example"})
    error = raised.value
    assert (error.status, error.type, error.title) == (409, "user-exists", "user-exists")
    assert error.errors == errors
    assert error.problem["instance"] == "r1"


def test_error_of_a_proxy_has_no_members_of_other_types(serve: Serve) -> None:
    document = {"type": 1, "title": None, "detail": {}, "message": [], "errors": None}
    _, tenon = serve(answer(403, document))
    with pytest.raises(TenonError) as raised:
        tenon.get_environment()
    error = raised.value
    assert (error.type, error.title, str(error)) == (None, "HTTP status 403", "403 no description")
    assert error.errors == []
    assert error.problem == document


def test_error_of_api_gateway_has_no_type(serve: Serve) -> None:
    _, tenon = serve(answer(403, {"message": "Forbidden"}))
    with pytest.raises(TenonError) as raised:
        tenon.get_environment()
    assert (raised.value.status, raised.value.type, raised.value.detail) == (403, None, "Forbidden")
    assert raised.value.errors == []


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (204, ""), (400, []), (404, "<html>")])
def test_response_that_is_not_json_is_an_error(serve: Serve, status: int, body: Any) -> None:
    _, tenon = serve(answer(status, body))
    with pytest.raises(TenonError, match=f"^{status} the response is not a JSON object: check the URL of the API$"):
        tenon.get_environment()


@pytest.mark.parametrize("body", [{"message": "Not Found"}, {"detail": "Not Found"}])
def test_error_404_that_is_not_of_tenon_mentions_the_url(serve: Serve, body: Any) -> None:
    _, tenon = serve(answer(404, body), problem(404, "not-found"))
    with pytest.raises(TenonError, match=r"^404 Not Found: check the URL of the API$"):
        tenon.get_environment()
    with pytest.raises(TenonError, match=r"^404 detail of not-found$"):
        tenon.get_environment()


def test_response_whose_encoding_is_invalid_is_a_transport_error(serve: Serve) -> None:
    invalid = answer(200, "no gzip", {"content-encoding": "gzip"})
    server, tenon = serve(invalid, answer(200, {"userId": "1"}), invalid)
    assert tenon.get_user("joe")["userId"] == "1"
    with pytest.raises(httpx.TransportError, match="incorrect header check"):
        tenon.delete_user("joe")
    assert len(server.received) == 3


def test_post_with_a_given_idempotency_key_is_repeated_where_the_response_is_returned(serve: Serve) -> None:
    server, tenon = serve(disconnect, answer(201, {"userId": "u"}, {"etag": '"0"'}))
    response = tenon.request("post", "/users", body={"username": "joe"}, headers={"Idempotency-Key": "key"})
    assert response.headers["etag"] == '"0"'
    assert [one.headers["idempotency-key"] for one in server.received] == ["key", "key"]


def test_answer_that_is_no_page_of_a_list_is_an_error(serve: Serve) -> None:
    for body in ({}, [], {"data": {}}):
        _, tenon = serve(answer(200, body))
        with pytest.raises(TenonError, match="not a page of a list: check the URL"):
            list(tenon.list_users())


def test_request_names_the_client(serve: Serve) -> None:
    server, tenon = serve(answer(200, {}))
    tenon.get_environment()
    assert server.received[0].headers["user-agent"].startswith("tenon-client/")


def test_key_is_not_sent_to_a_proxy_without_tls(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        server, tenon = serve(answer(200, {}))
        tenon.get_environment()
        assert (len(server.received), proxy.received) == (1, [])


MODELS = [name for name, model in vars(models).items() if is_typeddict(model)]


@pytest.mark.parametrize("name", MODELS)
def test_types_of_a_model_can_be_evaluated_as_frameworks_do(name: str) -> None:
    assert get_type_hints(getattr(models, name), include_extras=True)
