"""Replaces the stack's forwarder by the minimal forwarder of the benchmark, and restores it.

The minimal forwarder reads the same stream with the same batch size and filter, and sends to a
bus of the product's account. `make bench` runs this script in the environment of local/test.py.
"""

import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3

NAME = "minimal-forwarder"
REPLACED = "tenon-forward-errors"
REGION = os.environ["AWS_REGION"]


def main() -> None:
    """Runs `begin BINARY BUS` or `end`."""
    functions = boto3.client("lambda", REGION)
    [stream] = functions.list_event_source_mappings(FunctionName=REPLACED)["EventSourceMappings"]
    match sys.argv[1:]:
        case ["begin", binary, bus]:
            functions.update_event_source_mapping(UUID=stream["UUID"], Enabled=False)
            deploy(functions, stream, Path(binary), bus)
        case ["end"]:
            for mapping in functions.list_event_source_mappings(FunctionName=NAME)["EventSourceMappings"]:
                functions.delete_event_source_mapping(UUID=mapping["UUID"])
            functions.update_event_source_mapping(UUID=stream["UUID"], Enabled=True)
        case _:
            sys.exit("usage: minimal.py begin BINARY BUS | end")


def deploy(functions: Any, stream: dict[str, Any], binary: Path, bus: str) -> None:
    """Deploys a binary that forwards the records of a stream to a bus."""
    iam = boto3.client("iam", REGION)
    replaced = functions.get_function_configuration(FunctionName=REPLACED)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    reads = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
    allowed = {"Effect": "Allow", "Action": [*reads, "events:PutEvents"], "Resource": "*"}
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=NAME, PolicyName="forward", PolicyDocument=policy(allowed))
    functions.create_function(
        FunctionName=NAME,
        Runtime=replaced["Runtime"],
        Handler=replaced["Handler"],
        MemorySize=replaced["MemorySize"],
        Timeout=replaced["Timeout"],
        Role=role,
        Code={"ZipFile": zipped(binary)},
        Environment={"Variables": {"BUS": bus}},
    )
    functions.create_event_source_mapping(
        FunctionName=NAME,
        EventSourceArn=stream["EventSourceArn"],
        StartingPosition="LATEST",
        BatchSize=stream["BatchSize"],
        FilterCriteria=stream["FilterCriteria"],
    )


def policy(statement: dict[str, Any]) -> str:
    """Returns a policy document with one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def zipped(binary: Path) -> bytes:
    """Returns a deployment package that contains a binary."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, binary.read_bytes())
    return file.getvalue()


if __name__ == "__main__":
    main()
