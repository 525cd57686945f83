"""Verification of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    from .models import Error, Event

__all__ = ["WebhookVerificationError", "verify_webhook"]


def verify_webhook(secret: str, body: bytes | str, headers: Mapping[str, str]) -> Error | Event:
    """Returns the record of a webhook: an error or, with the member `type`, an event.

    Raises a `WebhookVerificationError` if the signature is not valid. `body` is the body as it was
    received, before any parser, and `secret` that of the destination.
    """
    webhook = Webhook(secret)
    try:
        return webhook.verify(body, dict(headers))
    except ValueError as error:
        # The library does not expect a signature without a version or that is not base64.
        raise WebhookVerificationError("malformed signature or body") from error
