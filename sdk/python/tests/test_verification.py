"""Verification of webhooks and user tokens."""

import base64
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fake_server import FakeServer, answer, disconnect
from standardwebhooks import Webhook

from tenon_client import TokenVerifier, WebhookVerificationError, tokens, verify_webhook

SECRET = "whsec_" + base64.b64encode(b"a secret of 32 bytes for a test.").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret").decode()


def signed(record: dict[str, Any], secret: str = SECRET) -> tuple[bytes, dict[str, str]]:
    """Returns the body and the headers of a webhook."""
    body, now = json.dumps(record), datetime.now(tz=timezone.utc)
    signature = Webhook(secret).sign("1", now, body)
    headers = {"Webhook-Id": "1", "Webhook-Timestamp": str(int(now.timestamp())), "Webhook-Signature": signature}
    return body.encode(), headers


def test_signed_webhook_returns_its_error_or_event() -> None:
    error = verify_webhook(SECRET, *signed({"_id": "1", "error": "403 Forbidden"}))
    assert "type" not in error
    assert error["error"] == "403 Forbidden"

    event = verify_webhook(SECRET, *signed({"_id": "2", "type": "user.deleted", "data": {"userId": "u"}}))
    assert "type" in event
    assert event["data"]["userId"] == "u"


BODY, HEADERS = signed({"_id": "1"})
REFUSED = {
    "changed": (BODY + b" ", HEADERS),
    "unsigned": (BODY, {}),
    "signed with another secret": signed({"_id": "1"}, OTHER_SECRET),
    "without version": (BODY, {**HEADERS, "Webhook-Signature": "v1"}),
    "not base64": (BODY, {**HEADERS, "Webhook-Signature": "v1,a"}),
    "old": (BODY, {**HEADERS, "Webhook-Timestamp": "1"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_webhook_without_a_valid_signature_is_refused(name: str) -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(SECRET, *REFUSED[name])


def test_parsed_body_and_empty_secret_are_refused() -> None:
    parsed: Any = json.loads(BODY)
    with pytest.raises(TypeError, match="pass the raw body"):
        verify_webhook(SECRET, parsed, HEADERS)
    unset: Any = None
    for secret in ["", "whsec_", "whsec_a", "whsec_äöüß", unset]:
        with pytest.raises(WebhookVerificationError):
            verify_webhook(secret, BODY, HEADERS)
    assert "type" not in verify_webhook(f"{SECRET}\n", BODY, HEADERS)


ISSUER = "urn:tenon:111111111111:us-east-1:tenon"
Sign = Callable[..., str]


def key_pair() -> tuple[dict[str, Any], Sign]:
    """Returns a public key, and a function that signs tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)

    def sign(typ: str = "tenon-user+jwt", kid: str = "k1", **changes: Any) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": "tenon", "sub": "user", "env": "environment", "mode": "read"}
        claims = {**claims, "iat": now, "exp": now + 60, **changes}
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(present, key, "ES256", {"typ": typ, "kid": kid})

    return {**jwk, "kid": "k1", "use": "sig", "alg": "ES256"}, sign


def test_key_set_is_not_read_without_tls() -> None:
    with pytest.raises(ValueError, match="url must be an https URL"):
        TokenVerifier("http://api.example.com", issuer=ISSUER, environment_id="environment")


def test_valid_token_returns_its_claims_and_the_key_set_is_fetched_once() -> None:
    jwk, sign = key_pair()
    with FakeServer(answer(200, {"keys": [jwk]})) as server:
        verifier = TokenVerifier(f"{server.url}/base", issuer=ISSUER, environment_id="environment")
        claims = verifier.verify(sign())
        verifier.verify(sign())
    assert (claims["sub"], claims["mode"]) == ("user", "read")
    assert [request.path for request in server.received] == ["/base/.well-known/jwks.json"]


def test_token_of_another_kind_issuer_environment_key_or_time_or_of_an_install_link_is_refused() -> None:
    (jwk, sign), (_, forge) = key_pair(), key_pair()
    others = [{"typ": "JWT"}, {"aud": "other"}, {"iss": "other"}, {"env": "other"}, {"exp": 1}, {"exp": None}]
    others.append({"hosted": True})
    with FakeServer(answer(200, {"keys": [jwk]})) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        verifier.verify(sign())
        for token in [sign(**other) for other in others] + [forge()]:
            with pytest.raises(jwt.PyJWTError):
                verifier.verify(token)


def test_malformed_token_says_nothing_about_the_key_set() -> None:
    (jwk, _) = key_pair()
    with FakeServer(answer(200, {"keys": [jwk]})) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        for token in (cast(str, None), "", "a", "a.b.c", "\ud800.a.b", "é.a.b", "\x00"):
            with pytest.raises(jwt.DecodeError):
                verifier.verify(token)


def test_unset_issuer_or_environment_is_refused() -> None:
    unset: Any = None
    for value in ("", unset):
        with pytest.raises(ValueError, match="issuer is missing"):
            TokenVerifier("https://api.example.com", issuer=value, environment_id="environment")
        with pytest.raises(ValueError, match="environment_id is missing"):
            TokenVerifier("https://api.example.com", issuer=ISSUER, environment_id=value)


def test_token_with_a_known_key_does_not_wait_for_a_key_set_that_others_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (jwk, sign), asked, ended = key_pair(), threading.Event(), threading.Event()
    monkeypatch.setattr(tokens, "_KEY_SET_TIMEOUT", 60)

    def hang(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        ended.wait(60)
        disconnect(request)

    with FakeServer(answer(200, {"keys": [jwk]}), hang) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        verifier.verify(sign())
        # An unknown key may be a new one, half a minute after the last request.
        monkeypatch.setattr(tokens, "_COOLDOWN", 0)
        unknown = sign(kid="k2")

        def verify_unknown() -> None:
            with pytest.raises(jwt.PyJWTError):
                verifier.verify(unknown)

        forged = threading.Thread(target=verify_unknown)
        forged.start()
        assert asked.wait(60)
        assert verifier.verify(sign())["sub"] == "user"
        assert forged.is_alive()
        ended.set()
        forged.join(60)
        # It could not be read, and is not requested again at once.
        with pytest.raises(jwt.PyJWKClientConnectionError, match="a moment ago"):
            verifier.verify(unknown)
    assert len(server.received) == 2


def test_key_set_is_requested_again_at_once_if_there_is_none() -> None:
    jwk, sign = key_pair()
    with FakeServer(answer(503, {}), answer(200, {"keys": [jwk]})) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        with pytest.raises(jwt.PyJWKClientConnectionError):
            verifier.verify(sign())
        assert verifier.verify(sign())["sub"] == "user"


def test_key_set_is_read_once_for_unknown_keys_within_the_cooldown() -> None:
    jwk, sign = key_pair()
    with FakeServer(answer(200, {"keys": [jwk]})) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        for _ in range(3):
            with pytest.raises(jwt.PyJWKClientError, match="k2") as raised:
                verifier.verify(sign(kid="k2"))
            assert not isinstance(raised.value, jwt.PyJWKClientConnectionError)
        assert verifier.verify(sign())["sub"] == "user"
    assert len(server.received) == 1


def test_new_key_is_found_after_the_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    (jwk, sign), (new, sign_new) = key_pair(), key_pair()
    both = {"keys": [{**new, "kid": "k2"}, jwk]}
    with FakeServer(answer(200, {"keys": [jwk]}), answer(200, both)) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        verifier.verify(sign())
        monkeypatch.setattr(tokens, "_COOLDOWN", 0)
        assert verifier.verify(sign_new(kid="k2"))["sub"] == "user"
        assert verifier.verify(sign())["sub"] == "user"


class CountingLock:
    """Lock that tells how many threads have come to it."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.arrived.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_verifications_that_wait_for_the_key_set_share_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, sign), ended = key_pair(), threading.Event()
    monkeypatch.setattr(tokens, "_KEY_SET_TIMEOUT", 60)
    failures: list[jwt.PyJWTError] = []

    def hang(request: BaseHTTPRequestHandler) -> None:
        ended.wait(60)
        disconnect(request)

    with FakeServer(hang) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        lock: Any = CountingLock()
        verifier._key_set._reading = lock

        def verify() -> None:
            with pytest.raises(jwt.PyJWKClientConnectionError) as raised:
                verifier.verify(sign())
            failures.append(raised.value)

        threads = [threading.Thread(target=verify) for _ in range(5)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert lock.arrived.acquire(timeout=60)
        ended.set()
        for thread in threads:
            thread.join(60)
    assert len(failures) == len(threads)
    assert len(server.received) == 1


@pytest.mark.parametrize("document", [{}, [], {"message": "not found"}, {"keys": []}, {"keys": [None]}, None, "<html>"])
def test_unreadable_key_set_says_nothing_about_the_token(document: Any) -> None:
    _, sign = key_pair()
    with FakeServer(answer(200, document)) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        with pytest.raises(jwt.PyJWKClientConnectionError):
            verifier.verify(sign())


def test_key_with_an_unreadable_id_hides_no_other() -> None:
    (jwk, sign), (other, _) = key_pair(), key_pair()
    with FakeServer(answer(200, {"keys": [{**other, "kid": []}, jwk]})) as server:
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        assert verifier.verify(sign())["sub"] == "user"


def test_key_set_of_this_machine_is_not_read_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    jwk, sign = key_pair()
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeServer(answer(200, {"keys": [jwk]})) as server, FakeServer(answer(200, {"keys": []})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        verifier = TokenVerifier(server.url, issuer=ISSUER, environment_id="environment")
        assert verifier.verify(sign())["sub"] == "user"
    assert not proxy.received
