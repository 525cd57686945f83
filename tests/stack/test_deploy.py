"""The checks that precede a deployment."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from deployment import needs_aws, run_script
from emulator import Emulator
from paths import ROOT
from stack import STACK
from template import Template
from waiting import wait, wait_for_aws

pytestmark = pytest.mark.alone

SCRIPT = ROOT / "deploy.sh"


@needs_aws
def test_a_deployment_is_checked_before_anything_is_built(emulator: Emulator) -> None:
    code, output = run_script(SCRIPT, "--check", "tenon", "RetentionDays=60")
    assert "✗" not in output, output
    assert code == 0
    for fact in (
        "stack tenon",
        "region us-east-1",
        "account 111111111111",
        "concurrent executions",
        "API requests per",
    ):
        assert fact in output


@needs_aws
def test_rate_limits_beyond_those_of_the_account_are_refused(emulator: Emulator) -> None:
    for limit in ("RequestsPerSecond=10001", "RequestBurst=5001", "PublicRequestsPerSecond=10001"):
        code, output = run_script(SCRIPT, "--check", "tenon", limit)
        assert code == 1, limit
        assert "✗ this account permits 10000 API requests per second and bursts of 5000" in output


@needs_aws
def test_rate_limits_that_are_not_whole_numbers_are_refused(emulator: Emulator) -> None:
    names = ("RequestBurst", "RequestsPerSecond", "PublicRequestsPerSecond", "TestRequestsPerSecond")
    for values in (("", "1.5", "abc", "0"), ("-1", "1000000", "1e3", " 1")):
        limits = dict(zip(names, values, strict=True))
        code, output = run_script(SCRIPT, "--check", "1_tenon", *(f"{name}={value}" for name, value in limits.items()))
        assert code == 1
        for name, value in limits.items():
            assert f'✗ {name} must be a whole number from 1 to 999999, not "{value}"' in output
        assert "✗ the stack name 1_tenon must be" in output


@needs_aws
def test_invalid_values_of_parameters_are_named_before_anything_is_built(
    emulator: Emulator, template: Template
) -> None:
    invalid = {
        "AlarmEmail": ("foo", 'has an invalid value, "foo"'),
        "AlarmTopic": ("foo", 'has an invalid value, "foo"'),
        "CertificateArn": ("arn:aws:iam::1:role/x", "has an invalid value"),
        "RetentionDays": ("2", "must be a whole number from 4 to "),
        "WebhookConcurrency": ("many", "must be a whole number from 2 to 1000"),
        "LogLevel": ("LOUD", "must be one of INFO, WARN"),
        "LogRetentionDays": ("2", "must be one of 1, 3, 5, "),
        "WebhookPorts": ("443,70000", "has an invalid value"),
    }
    code, output = run_script(SCRIPT, "--check", "tenon", *(f"{name}={value}" for name, (value, _) in invalid.items()))
    assert code == 1
    for name, (_, problem) in invalid.items():
        assert f"✗ {name} {problem}" in output, output
    # The defaults are valid, and so are values with every part of the patterns.
    valid = {
        name: str(parameter["Default"]) for name, parameter in template.parameters.items() if "Default" in parameter
    }
    valid |= {
        "AlarmEmail": "ops@acme.example",
        "AlarmTopic": "arn:aws:sns:us-east-1:111111111111:Operators_1.fifo",
        "DomainName": "api.acme.example",
        "CertificateArn": "arn:aws:acm:us-east-1:111111111111:certificate/0b4f-9",
        "WebhookPorts": "443,8443,65535",
        "PublicUrl": "https://api.acme.example/v1",
    }
    code, output = run_script(SCRIPT, "--check", "tenon", *(f"{name}={value}" for name, value in valid.items()))
    assert (code, "✗" in output) == (0, False), output


@needs_aws
def test_parameters_that_would_fail_after_minutes_are_refused(emulator: Emulator) -> None:
    limit = emulator.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    parameters = (
        "WarmWritesPerSecond=3999",
        f"AuthorizerReservedConcurrency={limit - 100}",
        "TestReservedConcurrency=1",
        "AlarmTopic=arn:aws:sns:eu-west-1:111111111111:operators",
        "CertificateArn=arn:aws:acm:eu-west-1:111111111111:certificate/0",
    )
    code, output = run_script(SCRIPT, "--check", "tenon", *parameters)
    assert code == 1
    assert '✗ WarmWritesPerSecond must be 0 or a whole number of at least 4000, not "3999"' in output
    assert f"TestReservedConcurrency reserve {limit - 99} of {limit} concurrent executions" in output
    for name in ("AlarmTopic", "CertificateArn"):
        assert f"✗ {name} must be in the region us-east-1, not in eu-west-1" in output
    valid = ("WarmWritesPerSecond=4000", f"AuthorizerReservedConcurrency={limit - 100}")
    code, output = run_script(SCRIPT, "--check", "tenon", *valid)
    assert (code, "✗" in output) == (0, False), output


@needs_aws
def test_a_stack_that_cannot_be_read_is_not_changed(emulator: Emulator, tmp_path: Path) -> None:
    # The other checks pass.
    for denied in ("describe-stacks", "describe-stack-resource"):
        program = tmp_path / "aws"
        aws = shutil.which("aws")
        program.write_text(
            f'#!/bin/sh\n[ "$2" != {denied} ] || {{ echo AccessDenied >&2; exit 254; }}\nexec {aws} "$@"\n'
        )
        program.chmod(0o755)
        code, output = run_script(SCRIPT, "--check", STACK, PATH=f"{tmp_path}:{os.environ['PATH']}")
        assert code == 1, denied
        assert "cannot be read: AccessDenied" in output
        program.unlink()


@needs_aws
def test_every_obstacle_to_a_deployment_is_named_together() -> None:
    missing = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    # A name with several lines of which the template has one.
    lines = "x\nRetentionDays\ny"
    code, output = run_script(SCRIPT, "--check", "a" * 38, "RetentionDay=60", f"{lines}=60", **missing)
    assert code == 1
    for obstacle in (
        "38 characters; at most 37 fit",
        "unknown parameter RetentionDay;",
        f"unknown parameter {lines};",
        "no AWS region: set AWS_REGION",
        "no valid AWS credentials",
    ):
        assert f"✗ {obstacle}" in output.replace("the stack name " + "a" * 38 + " has ", ""), output


@needs_aws
def test_a_stack_that_was_never_created_must_be_deleted_first(emulator: Emulator) -> None:
    formation = emulator.client("cloudformation")
    table = {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": "invalid"}}
    formation.create_stack(StackName="failed", TemplateBody=json.dumps({"Resources": {"Table": table}}))

    def is_rolled_back() -> bool:
        return formation.describe_stacks(StackName="failed")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"

    wait(is_rolled_back, "the creation is rolled back")
    code, output = run_script(SCRIPT, "--check", "failed")
    assert code == 1
    assert "aws cloudformation delete-stack --region us-east-1 --stack-name failed" in output


@needs_aws
def test_a_stack_of_another_application_is_not_changed(emulator: Emulator) -> None:
    formation = emulator.client("cloudformation")
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "jobs"}}
    formation.create_stack(StackName="backend", TemplateBody=json.dumps({"Resources": {"Jobs": queue}}))
    wait_for_aws(formation, "stack_create_complete", StackName="backend")
    code, output = run_script(SCRIPT, "--check", "backend")
    assert code == 1
    assert "the stack backend belongs to another application" in output
    formation.delete_stack(StackName="backend")


def test_a_tag_must_have_a_key_and_a_value() -> None:
    # `TAGS="Team=Data platform"` of make is split into two tags.
    for tag in ("platform", "=platform", ""):
        code, output = run_script(SCRIPT, "--check", "--tag", "Team=Data", "--tag", tag, "tenon")
        assert (code, output) == (1, f'--tag needs KEY=VALUE, not "{tag}"\n')


def test_a_stack_name_must_be_valid() -> None:
    code, output = run_script(SCRIPT, "--check", "1_tenon")
    assert code == 1
    assert "must be a letter, followed by letters, digits and hyphens" in output


def test_a_source_tree_is_not_deployed_without_a_build() -> None:
    code, output = run_script(SCRIPT, "tenon")
    assert code == 1
    assert "not a package: run make deploy" in output


@pytest.mark.parametrize("target", ["build", "package", "deploy"])
def test_an_unknown_architecture_is_rejected(target: str) -> None:
    result = subprocess.run(
        ["make", "--dry-run", target, "ARCH=arm"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode
    assert "ARCH=arm must be arm64 or x86_64" in result.stderr
