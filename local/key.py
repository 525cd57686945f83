"""Creates an API key in a deployed stack (`make key`).

The credentials and `AWS_ENDPOINT_URL` in the environment select a real or the local AWS.
"""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    """Prints the new key, which is not shown again."""
    stack, environment, name, scopes = (os.environ[setting] for setting in ("STACK", "ENVIRONMENT", "NAME", "SCOPES"))
    if not environment:
        sys.exit(
            "ENVIRONMENT is required: "
            "make key ENVIRONMENT=<environmentId> [NAME=…] [SCOPES=manage|engine|read] [STACK=tenon]"
        )
    payload = {"environmentId": environment, "name": name, "scopes": scopes.split(",")}
    try:
        functions = boto3.client("lambda", region_name=os.environ.get("AWS_REGION") or None)
        response = functions.invoke(FunctionName=f"{stack}-keys-create", Payload=json.dumps(payload))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS rejected the call or cannot be reached: {error}")
    body = json.load(response["Payload"])
    if "FunctionError" in response:
        sys.exit(f"The key was not created: {body['errorMessage']}")
    # Only the key is captured by a command substitution.
    print(f"id of the key, with which it can be revoked: {body['keyId']}", file=sys.stderr)
    print(body["key"])


if __name__ == "__main__":
    main()
