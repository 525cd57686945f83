"""Client of Tenon's API for back ends and engines."""

from .caller import path_segment
from .errors import TenonError
from .operations import Tenon
from .tokens import TokenVerifier, UserTokenClaims
from .webhooks import WebhookVerificationError, verify_webhook

__all__ = [
    "Tenon",
    "TenonError",
    "TokenVerifier",
    "UserTokenClaims",
    "WebhookVerificationError",
    "path_segment",
    "verify_webhook",
]
