"""Verification of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .models import Error, Event

__all__ = ["WebhookVerificationError", "is_event", "verify_webhook"]


def is_event(record: Error | Event) -> TypeIs[Event]:
    """Distinguishes events, which have a `type`, from errors."""
    return "type" in record


def verify_webhook(secret: str, body: bytes | str, headers: Mapping[str, str]) -> Error | Event:
    """Returns the record of a webhook: an error or an event.

    Raises a `WebhookVerificationError` if the signature is not valid, or the secret is empty, and a
    `TypeError` for a parsed body. `body` is the body as it was
    received, before any parser, and `secret` that of the destination.
    """
    if not isinstance(body, (bytes, bytearray, str)):
        raise TypeError("body is not bytes or str: pass the raw body")
    if not secret:
        raise WebhookVerificationError("secret is empty")
    webhook = Webhook(secret)
    try:
        return webhook.verify(body, dict(headers))
    except ValueError as error:
        # The library does not expect a signature without a version or that is not base64.
        raise WebhookVerificationError("malformed signature or body") from error
