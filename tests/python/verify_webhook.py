"""Verifies a webhook's signature with the Standard Webhooks library. Exits with 1 if it is invalid.

Standard input is a JSON object with `secret`, `body` and `headers`.
"""

import json
import sys

import standardwebhooks

request = json.load(sys.stdin)
standardwebhooks.Webhook(request["secret"]).verify(request["body"], request["headers"])
