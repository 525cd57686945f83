"""The stack in the emulator: this repository's template.yaml, deployed by `sam deploy` as on AWS, and the one thing that
the emulator lacks, the routes of an `AWS::Serverless::HttpApi`."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from emulator import REGION, ROOT, Emulator

LOCAL = ROOT / ".local"
STACK = "tenon"
# The host's, for which the functions are built.
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


@dataclass
class Stack:
    """A deployed stack."""

    url: str
    outputs: dict[str, str]


def collect(folder: Path) -> str:
    """Puts every function's binary of the fast profile, or of the one that TENON_PROFILE names, into a folder, and beside
    them the template with these in place of the release's. Returns a digest of all that."""
    digest = hashlib.sha256((ROOT / "template.yaml").read_bytes())
    for source in sorted((ROOT / "functions/src/bin").glob("*.rs")):
        built = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / os.environ.get("TENON_PROFILE", "debug") / source.stem
        bootstrap = folder / "functions" / source.stem / "bootstrap"
        bootstrap.parent.mkdir(parents=True, exist_ok=True)
        bootstrap.unlink(missing_ok=True)
        shutil.copy2(built, bootstrap)
        digest.update(hashlib.sha256(built.read_bytes()).digest())
    (folder / "template.yaml").write_text((ROOT / "template.yaml").read_text().replace("target/lambda/", "functions/"))
    return digest.hexdigest()


def deploy(emulator: Emulator, folder: Path) -> Stack:
    """Deploys what was collected in a folder."""
    command = [
        Path(sys.executable).with_name("sam"), "deploy",
        "--template-file", folder / "template.yaml", "--stack-name", STACK, "--region", REGION,
        "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--no-progressbar",
        "--parameter-overrides", f"Architecture={ARCHITECTURE}", "DeletionProtection=false", "WebhookLoopback=true",
    ]  # fmt: skip
    environment = {**os.environ, **emulator.environment(), "SAM_CLI_TELEMETRY": "0", "SAM_CLI_CONFIG_FOLDER": str(LOCAL)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the deployment failed:\n{done.stdout}\n{done.stderr}")
    bridge_routes(emulator)
    return describe(emulator)


def describe(emulator: Emulator) -> Stack:
    """The stack that is deployed."""
    found = emulator.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    # AWS gives the API a host name of its own; the emulator gives it a path.
    api = _resource(emulator, "Api")
    return Stack(f"{emulator.endpoint}/_aws/execute-api/{api}/$default", outputs)


def _resource(emulator: Emulator, logical_id: str) -> str:
    resource = emulator.client("cloudformation").describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)
    return resource["StackResourceDetail"]["PhysicalResourceId"]


def bridge_routes(emulator: Emulator) -> None:
    """Makes the routes of the OpenAPI body that SAM made of the template's events, which the emulator does not import."""
    template = emulator.client("cloudformation").get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    gateway, api = emulator.client("apigatewayv2"), _resource(emulator, "Api")
    for route in gateway.get_routes(ApiId=api)["Items"]:
        gateway.delete_route(ApiId=api, RouteId=route["RouteId"])
    body = template["Resources"]["Api"]["Properties"]["Body"]

    def function_arn(uri) -> str:
        # An invocation URI, in which SAM names the function by `${LogicalId.Arn}` or by a variable beside the text.
        match uri["Fn::Sub"]:
            case [_, {"__FunctionArn__": {"Fn::GetAtt": [logical_id, _]}}]:
                pass
            case text:
                logical_id = text.split("/functions/${")[1].split(".Arn}")[0]
        return emulator.client("lambda").get_function(FunctionName=_resource(emulator, logical_id))["Configuration"]["FunctionArn"]

    authorizers = {}
    for name, scheme in body["components"]["securitySchemes"].items():
        settings = scheme["x-amazon-apigateway-authorizer"]
        authorizers[name] = gateway.create_authorizer(
            ApiId=api,
            Name=name,
            AuthorizerType="REQUEST",
            AuthorizerUri=_invocation(function_arn(settings["authorizerUri"])),
            AuthorizerPayloadFormatVersion=str(settings["authorizerPayloadFormatVersion"]),
            EnableSimpleResponses=settings["enableSimpleResponses"],
            AuthorizerResultTtlInSeconds=settings["authorizerResultTtlInSeconds"],
            IdentitySource=settings["identitySource"],
        )["AuthorizerId"]
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = gateway.create_integration(
                ApiId=api,
                IntegrationType="AWS_PROXY",
                IntegrationUri=function_arn(operation["x-amazon-apigateway-integration"]["uri"]),
                PayloadFormatVersion="2.0",
            )["IntegrationId"]
            security = [name for requirement in operation.get("security", []) for name in requirement if name in authorizers]
            route = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[security[0]]} if security else {}
            gateway.create_route(ApiId=api, RouteKey=f"{method.upper()} {path}", Target=f"integrations/{integration}", **route)


def _invocation(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
