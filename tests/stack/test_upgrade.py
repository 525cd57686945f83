"""Upgrades from the previous template: that of the last release, or of an earlier commit.

The binaries of this build run under both templates.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import standardwebhooks
import tenon
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from customer import Endpoint
from deployed import Environment
from emulator import REGION, Emulator
from paths import ROOT
from samtranslator.yaml_helper import yaml_parse
from stack import ARCHITECTURE, STACK, Stack, bridge_routes, describe
from template import Template
from waiting import PATIENCE, wait_for_aws

pytestmark = pytest.mark.alone

# Name of the stack that is upgraded, next to the stack of the other tests.
UPGRADED = "upgraded"
# Types whose resources hold data, or are known to callers.
STATEFUL = {"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SQS::Queue", "AWS::Logs::LogGroup", "AWS::ApiGatewayV2::Api"}
# Properties that name a resource. Two resources of a type cannot have the same name.
NAMES = {"AWS::Lambda::Function": "FunctionName", "AWS::KMS::Alias": "AliasName", "AWS::CloudWatch::Alarm": "AlarmName"}


def git(*arguments: str) -> str:
    """Returns the output of git, or an empty text if it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def updatable(template: str) -> dict[str, Any]:
    """Returns what an update can change. CloudFormation rejects an update of anything else only."""
    resources = yaml_parse(template)["Resources"].items()
    return {name: {key: value for key, value in one.items() if key != "DependsOn"} for name, one in resources}


@pytest.fixture(scope="module")
def previous() -> str:
    """The text of the previous template."""
    present = updatable((ROOT / "template.yaml").read_text())
    releases = git("tag", "--merged", "HEAD", "--list", "v*", "--sort=-version:refname").split()
    commits = git("log", "--format=%H", "--", "template.yaml").split()
    for revision in (*releases, *commits):
        text = git("show", f"{revision}:template.yaml")
        if text and updatable(text) != present:
            return text
    pytest.skip("the git history has no template with other resources")


@pytest.fixture(scope="module")
def before(previous: str) -> Template:
    """The previous template as CloudFormation gets it."""
    return Template.transformed(previous)


def test_no_stateful_resource_is_replaced_or_removed(before: Template, template: Template) -> None:
    for name, old in before.resources.items():
        if old["Type"] not in STATEFUL:
            continue
        new = template.resources.get(name)
        assert new, f"{name} is removed"
        assert new["Type"] == old["Type"], name
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, old["Type"]).schema
        fixed = schema.get("createOnlyProperties", []) + schema.get("conditionalCreateOnlyProperties", [])
        for path in fixed:
            assert at(new, path) == at(old, path), f"a new {path} replaces {name}"


def at(resource: dict[str, Any], path: str) -> Any:
    """Returns the property at a path of a resource's schema, such as `/properties/QueueName`."""
    value: Any = resource.get("Properties", {})
    for name in path.removeprefix("/properties/").split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_a_table_gains_or_loses_at_most_one_index(before: Template, template: Template) -> None:
    tables = template.of_type("AWS::DynamoDB::Table")
    for name, old in before.of_type("AWS::DynamoDB::Table").items():
        indexes = [
            {index["IndexName"]: (index["KeySchema"], index["Projection"]) for index in table["GlobalSecondaryIndexes"]}
            for table in (old, tables[name])
        ]
        changed = indexes[0].keys() ^ indexes[1].keys()
        assert len(changed) <= 1, f"DynamoDB changes one index of {name} per update: {changed}"
        for index in indexes[0].keys() & indexes[1].keys():
            assert indexes[0][index] == indexes[1][index], f"the index {index} of {name} cannot be changed"


def test_a_name_stays_with_its_logical_id(before: Template, template: Template) -> None:
    # CloudFormation creates new resources before it deletes old ones.
    for kind, attribute in NAMES.items():
        names = {json.dumps(found.get(attribute)): name for name, found in before.of_type(kind).items()}
        for name, found in template.of_type(kind).items():
            fixed = json.dumps(found.get(attribute))
            assert names.get(fixed, name) == name, f"{name} and {names.get(fixed)} have the same {attribute}"


def test_no_route_with_settings_is_removed(before: Template, template: Template) -> None:
    # API Gateway keeps settings that the template no longer has, and refuses to update their stage.
    old, new = (route_settings(one) for one in (before, template))
    assert old and old <= new, f"delete these settings before a deployment: {old - new}"


def route_settings(template: Template) -> set[str]:
    """Returns the routes that have settings of their own."""
    stages = template.of_type("AWS::ApiGatewayV2::Stage").values()
    return {route for stage in stages for route in stage["RouteSettings"]}


class Upgrade:
    """A stack with the previous template, which is upgraded."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator, self.cloudformation = emulator, emulator.client("cloudformation")
        packaged = self.cloudformation.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"]
        resources = yaml_parse(packaged)["Resources"] if isinstance(packaged, str) else packaged["Resources"]
        functions = {name: found["Properties"] for name, found in resources.items() if has_code(found)}
        # The code is in S3 since the deployment of the other stack.
        self.code = {name: properties["CodeUri"] for name, properties in functions.items()}

    def deploy(self, text: str, kind: str, parameters: dict[str, str], kept: Iterable[str] = ()) -> Stack:
        """Deploys a template as `sam deploy` does."""
        source = yaml_parse(text)
        # The binaries need the settings of the present template.
        present = yaml_parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Environment"]["Variables"]
        variables = source["Globals"]["Function"]["Environment"]["Variables"]
        source["Globals"]["Function"]["Environment"]["Variables"] = present | variables
        for name, found in source["Resources"].items():
            if has_code(found):
                # A function that no longer exists gets the code of another one.
                found["Properties"]["CodeUri"] = self.code.get(name, self.code["OpenApi"])
        values: list[dict[str, Any]] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ]
        values += [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]
        change = {"StackName": UPGRADED, "ChangeSetName": kind.lower()}
        self.cloudformation.create_change_set(
            **change,
            ChangeSetType=kind,
            TemplateURL=self.upload(json.dumps(source)),
            Parameters=values,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        wait_for_aws(self.cloudformation, "change_set_create_complete", **change)
        self.cloudformation.execute_change_set(**change)
        wait_for_aws(self.cloudformation, f"stack_{kind.lower()}_complete", StackName=UPGRADED)
        bridge_routes(self.emulator, UPGRADED)
        return describe(self.emulator, UPGRADED)

    def upload(self, template: str) -> str:
        """Stores a template next to the code, and returns its URL."""
        bucket = urlsplit(self.code["OpenApi"]).netloc
        self.emulator.client("s3").put_object(Bucket=bucket, Key=UPGRADED, Body=template)
        return f"{self.emulator.endpoint}/{bucket}/{UPGRADED}"

    def stateful(self) -> dict[str, tuple[str, str]]:
        """Returns the type and the physical id of each stateful resource."""
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=UPGRADED)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return {
            resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
            for resource in found
            if resource["ResourceType"] in STATEFUL
        }


def has_code(resource: dict[str, Any]) -> bool:
    """Whether a resource is a function."""
    return resource["Type"] == "AWS::Serverless::Function"


@pytest.fixture
def upgrade(emulator: Emulator, stack: Stack) -> Iterator[Upgrade]:
    """A second stack, which is deleted afterwards."""
    upgrade = Upgrade(emulator)
    yield upgrade
    upgrade.cloudformation.delete_stack(StackName=UPGRADED)


def test_a_stack_with_data_is_upgraded(emulator: Emulator, upgrade: Upgrade, previous: str) -> None:
    local = {"Architecture": ARCHITECTURE, "DeletionProtection": "false", "WebhookLoopback": "true"}
    old = upgrade.deploy(previous, "CREATE", {**local, "RetentionDays": "60"})
    resources = upgrade.stateful()
    with Endpoint(answers=[500, 204]) as endpoint:
        environment = Environment(emulator, old)
        user = environment.call("POST", "/users", {"email": "joe@acme.example"}, 201)["userId"]
        credential = {"type": "shopify", "name": "shop", "data": {"token": "secret"}}
        credential = environment.call("POST", f"/users/{user}/credentials", credential, 201)["credentialId"]
        workflow = {"userId": user, "name": "sync", "credentialIds": [credential]}
        workflow = environment.call("POST", "/workflows", workflow, 201)["workflowId"]
        made = environment.call("POST", "/destinations", {"type": "webhook", "url": endpoint.url}, 201)
        token = environment.call("GET", f"/users/{user}/token")["token"]
        error = {"executionId": "1", "blockId": "2", "blockType": "alloy.shopify", "error": "Error: before"}
        recorded = environment.engine.call("POST", f"/workflows/{workflow}/errors", error)
        assert recorded.status == 202, recorded
        assert endpoint.receive(PATIENCE), "the first attempt, which fails"
        paths = ["/environment", "/users", f"/users/{user}/credentials", f"/workflows/{workflow}/errors"]
        shown = [environment.call("GET", path) for path in paths]

        present = (ROOT / "template.yaml").read_text()
        kept = yaml_parse(previous)["Parameters"].keys() & yaml_parse(present)["Parameters"].keys()
        new = upgrade.deploy(present, "UPDATE", {}, kept)

        assert new.url == old.url
        assert upgrade.stateful().items() >= resources.items()
        assert [environment.call("GET", path) for path in paths] == shown
        path = f"/users/{user}/credentials/{credential}/reveal"
        assert environment.engine.call("POST", path).body["data"] == {"token": "secret"}
        session = tenon.Api(new.url, token).call("GET", "/session")
        assert session.body["user"]["userId"] == user
        received = endpoint.receive(PATIENCE)
        assert received, "the second attempt"
        verified = standardwebhooks.Webhook(made["secret"]).verify(received.body, received.headers)
        assert verified["_id"] == recorded.body["ids"][0]
        [configured] = upgrade.cloudformation.describe_stacks(StackName=UPGRADED)["Stacks"]
        parameters = {found["ParameterKey"]: found["ParameterValue"] for found in configured["Parameters"]}
        assert parameters["RetentionDays"] == "60"
