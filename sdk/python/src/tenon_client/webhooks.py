"""Verification of webhooks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from .models import Error, Event

__all__ = ["WebhookVerificationError", "verify_webhook"]


def verify_webhook(secret: str, body: bytes | str, headers: Mapping[str, str]) -> Error | Event:
    """Returns the record of a webhook: an error or, with the member `type`, an event.

    Raises a `WebhookVerificationError` if the signature is not valid, or the secret is empty or
    malformed, and a `TypeError` for a parsed body. `body` is the body as it was received, before
    any parser, and `secret` that of the destination.
    """
    if not isinstance(body, (bytes, bytearray, str)):
        raise TypeError("body is not bytes or str: pass the raw body")
    # Callers may pass an unset variable of the environment, and files end with a newline.
    secret = secret.strip() if isinstance(secret, str) else ""
    if not re.fullmatch("(whsec_)?[A-Za-z0-9+/]{4,}={0,2}", secret):
        raise WebhookVerificationError("secret is missing or malformed: is WEBHOOK_SECRET set?")
    try:
        webhook = Webhook(secret)
        return webhook.verify(body, dict(headers))
    except ValueError as error:
        # The library expects neither a signature without a version, nor one or a secret that is not
        # base64.
        raise WebhookVerificationError("malformed signature, secret or body") from error
