"""Parameters of the template, applied to the resources that depend on them."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest
from emulator import Emulator
from template import Template
from waiting import wait_for_aws

pytestmark = pytest.mark.alone

STACK = "tenon-parameters"
CERTIFICATE = "arn:aws:acm:us-east-1:111111111111:certificate/0"
DOMAIN = {"DomainName": "api.acme.example", "CertificateArn": CERTIFICATE}
TOPIC = "arn:aws:sns:us-east-1:111111111111:operators"


@contextlib.contextmanager
def deployed(emulator: Emulator, template: Template, **parameters: str) -> Iterator[dict[str, str]]:
    """Deploys the API, its domain and an alarm with parameters, and gives the outputs."""
    names = {"Api", "ApiApiGatewayDefaultStage", "AccessLogs", "Domain", "DomainMapping", "DeliveryFailures"}
    names |= {"AlarmEmails", "AlarmEmailSubscription", "DeliveryFailuresNotEmpty"}
    document: dict[str, Any] = {
        **template.document,
        "Resources": {name: template.resources[name] for name in sorted(names)},
        "Outputs": {
            name: output
            for name, output in template.document["Outputs"].items()
            if name in {"ApiUrl", "ConsoleUrl", "DomainTarget", "DomainHostedZone"}
        },
    }
    api = template.resources["Api"]["Properties"]
    body = {**api["Body"], "paths": {}, "components": {}}
    document["Resources"]["Api"] = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {**api, "Body": body}}
    cloudformation = emulator.client("cloudformation")
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(document),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    try:
        wait_for_aws(cloudformation, "stack_create_complete", StackName=STACK)
        outputs = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
        yield {output["OutputKey"]: output["OutputValue"] for output in outputs}
    finally:
        cloudformation.delete_stack(StackName=STACK)
        wait_for_aws(cloudformation, "stack_delete_complete", StackName=STACK)


def resource(emulator: Emulator, logical_id: str) -> str:
    """Returns the physical id of a resource of the stack."""
    found = emulator.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def actions(emulator: Emulator) -> list[str]:
    """Returns the topics that the alarm notifies when it fires and when it is over."""
    name = f"{STACK}-DeliveryFailuresNotEmpty"
    [alarm] = emulator.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["AlarmActions"] == alarm["OKActions"]
    return alarm["AlarmActions"]


def test_without_parameters_the_api_has_its_own_url_and_alarms_notify_nobody(
    emulator: Emulator, template: Template
) -> None:
    with deployed(emulator, template) as outputs:
        assert set(outputs) == {"ApiUrl", "ConsoleUrl"}
        assert resource(emulator, "Api") in outputs["ApiUrl"]
        assert outputs["ConsoleUrl"] == f"{outputs['ApiUrl']}/console"
        assert actions(emulator) == []


def test_a_domain_is_mapped_to_the_api_and_an_email_address_is_subscribed(
    emulator: Emulator, template: Template
) -> None:
    parameters = {**DOMAIN, "BasePath": "2024-03", "AlarmEmail": "ops@acme.example", "AlarmTopic": TOPIC}
    with deployed(emulator, template, **parameters) as outputs:
        assert outputs["ApiUrl"] == "https://api.acme.example/2024-03"
        assert outputs["ConsoleUrl"] == "https://api.acme.example/2024-03/console"
        gateway = emulator.client("apigatewayv2")
        [settings] = gateway.get_domain_name(DomainName="api.acme.example")["DomainNameConfigurations"]
        assert settings["SecurityPolicy"] == "TLS_1_2"
        assert outputs["DomainTarget"] == settings["ApiGatewayDomainName"]
        [mapping] = gateway.get_api_mappings(DomainName="api.acme.example")["Items"]
        assert mapping["ApiId"] == resource(emulator, "Api")
        assert (mapping["Stage"], mapping["ApiMappingKey"]) == ("$default", "2024-03")

        own = resource(emulator, "AlarmEmails")
        assert actions(emulator) == [TOPIC, own]
        [subscription] = emulator.client("sns").list_subscriptions_by_topic(TopicArn=own)["Subscriptions"]
        assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@acme.example")


def test_a_public_url_takes_precedence_over_the_domain(emulator: Emulator, template: Template) -> None:
    with deployed(emulator, template, **DOMAIN, PublicUrl="https://proxy.acme.example/tenon") as outputs:
        assert outputs["ApiUrl"] == "https://proxy.acme.example/tenon"
        assert outputs["ConsoleUrl"] == "https://proxy.acme.example/tenon/console"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"DomainName": "api.acme.example"}, "DomainName requires CertificateArn"),
        ({"CertificateArn": CERTIFICATE}, "CertificateArn requires DomainName"),
        ({"BasePath": "2024-03"}, "BasePath requires DomainName"),
        ({"DisableExecuteApiEndpoint": "true"}, "DisableExecuteApiEndpoint requires DomainName"),
    ],
)
def test_an_incomplete_domain_is_refused_before_the_deployment(
    emulator: Emulator, template: Template, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match=message), deployed(emulator, template, **parameters):
        pass
