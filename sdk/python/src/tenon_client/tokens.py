"""Verification of user tokens."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
from typing_extensions import NotRequired, TypedDict

from .urls import checked_url

if TYPE_CHECKING:
    from .models import TokenMode

# Tenon's documents ask to cache the key set for at most five minutes.
_KEY_SET_MAX_AGE = 300
# Seconds for each step of reading the key set, for which concurrent verifications wait.
_KEY_SET_TIMEOUT = 5
# Seconds in which unknown keys do not request the key set again, after it was read and after that
# failed.
_COOLDOWN, _FAILURE_COOLDOWN = 30, 5
# Tolerated difference of the clocks in seconds, also at the end of the lifetime.
_CLOCK_TOLERANCE = 5


class UserTokenClaims(TypedDict):
    """Claims of a user token."""

    iss: str
    #: Id of the user.
    sub: str
    #: Id of the environment.
    env: str
    iat: int
    exp: int
    mode: NotRequired[TokenMode]
    #: Integrations to which the token is limited.
    integrations: NotRequired[list[str]]
    origins: NotRequired[list[str]]


class TokenVerifier:
    """Verifies user tokens of an environment, which pages send to your own server.

    The key set is cached, and fetched again when a token has an unknown key.
    """

    def __init__(self, url: str, *, issuer: str, environment_id: str) -> None:
        """Creates a verifier.

        `url` is the base URL of the API, and `issuer` the parameter `TokenIssuer` of the stack; its
        default is `urn:tenon:<account>:<region>:<stack>`.

        Raises a `ValueError` if one of them is missing or `url` is invalid.
        """
        self._key_set = _KeySet(f"{checked_url(url)}/.well-known/jwks.json")
        self._issuer = _checked("issuer", issuer)
        self._environment_id = _checked("environment_id", environment_id)

    def verify(self, token: str) -> UserTokenClaims:
        """Returns the claims of a valid token. Raises a `jwt.PyJWTError` otherwise.

        A `jwt.PyJWKClientConnectionError` says that the key set cannot be read, and nothing about
        the token. A valid token does not prove that the user is still enabled. A token of an
        install link is refused: anyone who has the link gets one.
        """
        if not isinstance(token, str) or not token.isascii():
            raise jwt.DecodeError("a token has ASCII characters only")
        header = jwt.get_unverified_header(token)
        if header.get("alg") != "ES256":
            raise jwt.InvalidAlgorithmError("not signed with ES256")
        decoded = jwt.decode_complete(
            token,
            self._key_set.key(header.get("kid")),
            algorithms=["ES256"],
            audience="tenon",
            issuer=self._issuer,
            leeway=_CLOCK_TOLERANCE,
            options={"require": ["iss", "aud", "sub", "env", "exp"]},
        )
        claims = decoded["payload"]
        if decoded["header"].get("typ") != "tenon-user+jwt" or claims["env"] != self._environment_id:
            raise jwt.InvalidTokenError("not a user token of this environment")
        if claims.get("hosted"):
            raise jwt.InvalidTokenError("token of an install link")
        return claims


class _KeySet:
    """Cached public keys of a stack. It may be shared by threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, Any] = {}
        self._read_at = self._failed_at = float("-inf")
        self._reading = threading.Lock()

    def key(self, kid: str | None) -> Any:
        """Returns a public key. One that is cached waits for no request."""
        asked_at = time.monotonic()
        if asked_at - self._read_at < _KEY_SET_MAX_AGE and (key := self._keys.get(kid)):
            return key
        with self._reading:
            # Another thread may have read it meanwhile.
            now = time.monotonic()
            is_cached = now - self._read_at < _KEY_SET_MAX_AGE
            if not (is_cached and (kid in self._keys or now - self._read_at < _COOLDOWN)):
                # Without a key set, each token requests it, because the service may be back. Those
                # that waited for a request share its failure.
                if self._failed_at >= (now - _FAILURE_COOLDOWN if is_cached else asked_at):
                    raise jwt.PyJWKClientConnectionError("the key set could not be read a moment ago")
                self._read()
            if key := self._keys.get(kid):
                return key
        raise jwt.PyJWKClientError(f"no key has the id {kid!r}")

    def _read(self) -> None:
        try:
            # Without TLS there is only this machine, and no proxy must answer for it.
            response = httpx.get(self._url, timeout=_KEY_SET_TIMEOUT, trust_env=self._url.startswith("https:"))
            key_set = jwt.PyJWKSet.from_dict(response.raise_for_status().json())
        # A document that is no object has no keys either.
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, AttributeError) as error:
            self._failed_at = time.monotonic()
            raise jwt.PyJWKClientConnectionError(f"the key set cannot be read: {error}") from error
        self._keys = {key.key_id: key.key for key in key_set.keys if isinstance(key.key_id, str)}
        self._read_at = time.monotonic()


def _checked(name: str, value: Any) -> str:
    """Returns a setting. A missing one, such as an unset variable, would not be compared."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is missing")
    return value
