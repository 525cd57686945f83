"""Base URLs of the API."""

from typing import Any

import httpx

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def checked_url(url: Any) -> str:
    """Returns the base URL of the API without a slash at its end.

    The key, and the key set of user tokens, must not be read or changed on their way, so that only
    this machine may be called without TLS. Callers may pass an unset variable of the environment,
    so that the type is checked too.
    """
    text = url.strip() if isinstance(url, str) else ""
    try:
        parsed = httpx.URL(text)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    is_private = parsed.scheme == "https" or (parsed.scheme == "http" and parsed.host in _LOOPBACK)
    if not is_private or not parsed.host or parsed.userinfo or "?" in text or "#" in text:
        raise ValueError("url must be an https URL, or http for this machine: is TENON_URL set?")
    return text.rstrip("/")
