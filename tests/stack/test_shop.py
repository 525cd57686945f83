"""The demo shop, local/shop.py."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from deployed import NewEnvironment
from shop import Shop, TenonError, user_token
from tenon import Api, Response

EMAIL = "ann.roe+1@acme.example"
ORIGIN = "http://127.0.0.1:8080"


class Tenon(Api):
    """API with given responses, which records its requests."""

    def __init__(self, *responses: Response) -> None:
        super().__init__("")
        self.responses, self.requests = list(responses), list[tuple[str, dict[str, Any] | None]]()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        """Returns the next response."""
        self.requests.append((f"{method} {path}", body))
        return self.responses.pop(0)


def test_token_is_limited_to_the_origin_of_the_shop() -> None:
    tenon = Tenon(Response(200, {"token": "eyJ"}))
    assert user_token(tenon, EMAIL, ORIGIN) == "eyJ"
    assert tenon.requests == [("POST /users/ann.roe%2B1%40acme.example/token", {"origins": [ORIGIN]})]


def test_unknown_user_is_created() -> None:
    for created in (Response(201, {}), Response(409, {})):
        tenon = Tenon(Response(404, {}), created, Response(200, {"token": "eyJ"}))
        assert user_token(tenon, EMAIL, ORIGIN) == "eyJ"
        assert tenon.requests[1] == ("POST /users", {"email": EMAIL})


def test_other_responses_give_no_token() -> None:
    for responses in (
        [Response(500, {})],
        [Response(404, {}), Response(422, {})],
        [Response(409, {"detail": "disabled"})],
    ):
        with pytest.raises(TenonError):
            user_token(Tenon(*responses), EMAIL, ORIGIN)


def test_new_user_gets_a_token_of_the_stack(new_environment: NewEnvironment) -> None:
    environment = new_environment()
    for _ in range(2):
        token = user_token(environment.backend, EMAIL, ORIGIN)
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert claims["origins"] == [ORIGIN]
        assert claims["sub"] == environment.call("GET", f"/users/{EMAIL}")["userId"]


class Client:
    """Client of a running shop."""

    def __init__(self, shop: Shop) -> None:
        self.port, self.own = shop.server.server_port, shop.url

    def request(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """Returns the status, headers and body of a response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers, text

    def sign_in(self, email: str) -> str:
        """Returns the cookie of a session."""
        status, headers, _ = self.request("POST", "/sign-in", f"email={email}", origin=self.own)
        assert (status, headers["location"]) == (303, "/")
        return headers["set-cookie"]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A shop whose Tenon is not reachable."""
    monkeypatch.delenv("TENON_SHOP_PORT", raising=False)
    with Shop(lambda: ("http://127.0.0.1:9/base", "tn_test_key")) as shop:
        yield Client(shop)


def test_pages_and_tokens_require_a_session(client: Client) -> None:
    for path in ("/", "/inline"):
        status, headers, _ = client.request("GET", path)
        assert (status, headers["location"]) == (303, "/sign-in")
    assert client.request("GET", "/my/tenon-token", cookie="acme_shop=guess")[0] == 401
    cookie = client.sign_in("Ann%3Cb%3E@acme.example")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
    cookie = cookie.split(";")[0]
    status, headers, page = client.request("GET", "/", cookie=cookie)
    assert status == 200
    assert "ann&lt;b&gt;@acme.example" in page
    assert 'data-tenon="http://127.0.0.1:9/base"' in page
    assert "tn_test_key" not in page
    assert client.request("POST", "/sign-out", cookie=cookie, origin=client.own)[0] == 303
    assert client.request("GET", "/", cookie=cookie)[0] == 303


def test_policy_allows_the_shop_and_tenon_only(client: Client) -> None:
    policy = client.request("GET", "/sign-in")[1]["content-security-policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self' http://127.0.0.1:9"
    assert directives["frame-src"] == "http://127.0.0.1:9"
    assert "unsafe" not in policy


def test_token_is_unavailable_without_tenon(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    cookie = client.sign_in("ann@acme.example").split(";")[0]
    status, headers, text = client.request("GET", "/my/tenon-token", cookie=cookie)
    assert (status, text, headers["cache-control"]) == (502, "Tenon returned no token", "no-store")
    assert "no token of 'ann@acme.example'" in capsys.readouterr().err


def test_requests_of_other_pages_are_refused(client: Client) -> None:
    cookie = client.sign_in("ann@acme.example").split(";")[0]
    for path in ("/", "/my/tenon-token", "/shop.js"):
        assert client.request("GET", path, host="shop.attacker.example", cookie=cookie)[0] == 421
    assert client.request("POST", "/sign-in", "email=a@b.example", host="shop.attacker.example")[0] == 403
    for origin in ("https://attacker.example", "null"):
        assert client.request("POST", "/sign-out", origin=origin, cookie=cookie)[0] == 403
    assert client.request("GET", "/../shop.py")[0] == 404
    assert client.request("POST", "/sign-in", "email=" + "a" * 2000 + "@b.example")[1]["location"] == "/sign-in"
