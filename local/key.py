"""`make key`: makes an API key by the function of a deployed stack, on AWS or in the local one: whichever the credentials
and `AWS_ENDPOINT_URL` in the environment lead to."""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    """Prints the key, which nothing shows again."""
    stack, environment, name, scopes = (os.environ[setting] for setting in ("STACK", "ENVIRONMENT", "NAME", "SCOPES"))
    if not environment:
        sys.exit("whose key? make key ENVIRONMENT=<environmentId> [NAME=…] [SCOPES=manage|engine|manage,engine] [STACK=tenon]")
    payload = {"environmentId": environment, "name": name, "scopes": scopes.split(",")}
    try:
        functions = boto3.client("lambda", region_name=os.environ.get("AWS_REGION"))
        answer = functions.invoke(FunctionName=f"{stack}-keys-create", Payload=json.dumps(payload))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS was not reached or refused: {error}")
    body = json.load(answer["Payload"])
    if "FunctionError" in answer:
        sys.exit(f"refused: {body['errorMessage']}")
    print(body["key"])


if __name__ == "__main__":
    main()
