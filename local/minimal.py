"""Puts the minimal forwarder of the benchmark in the place of the stack's own: on the same stream, with the same batches and
the same filter, to a bus of the product's account; and takes it away again. Run by `make bench`, in the environment of
local/test.py."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import boto3

NAME = "minimal-forwarder"
BESIDE = "tenon-forward-errors"
REGION = os.environ["AWS_REGION"]


def main() -> None:
    """`begin BINARY BUS`, or `end`."""
    functions = boto3.client("lambda", REGION)
    [stream] = functions.list_event_source_mappings(FunctionName=BESIDE)["EventSourceMappings"]
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


def deploy(functions, stream: dict, binary: Path, bus: str) -> None:
    """Deploys a binary that forwards what a stream carries to a bus."""
    iam = boto3.client("iam", REGION)
    beside = functions.get_function_configuration(FunctionName=BESIDE)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    reads = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
    allowed = {"Effect": "Allow", "Action": [*reads, "events:PutEvents"], "Resource": "*"}
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=NAME, PolicyName="forward", PolicyDocument=policy(allowed))
    functions.create_function(
        FunctionName=NAME,
        Runtime=beside["Runtime"],
        Handler=beside["Handler"],
        MemorySize=beside["MemorySize"],
        Timeout=beside["Timeout"],
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


def policy(statement: dict) -> str:
    """A policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def zipped(binary: Path) -> bytes:
    """A binary as Lambda takes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, binary.read_bytes())
    return file.getvalue()


if __name__ == "__main__":
    main()
