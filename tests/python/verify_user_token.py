"""Verifies a user token from standard input with PyJWT and prints its header and claims as JSON.

Usage: verify_user_token.py JWKS_URL < TOKEN
"""

import json
import sys

import jwt

token, jwks_url = sys.stdin.read(), sys.argv[1]
key = jwt.PyJWKClient(jwks_url).get_signing_key_from_jwt(token)
decoded = jwt.decode_complete(
    token,
    key.key,
    algorithms=["ES256"],
    audience="tenon",
    options={"require": ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"]},
)
print(json.dumps({"header": decoded["header"], "payload": decoded["payload"]}))
