"""Deployment to the emulator: template.yaml, deployed by `sam deploy` as on AWS.

The emulator does not import the routes of an `AWS::Serverless::HttpApi`. This module creates them.
"""

import functools
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import REGION, Emulator
from paths import LOCAL, ROOT, TARGET, function_names, refer_to_zips
from samcli.yamlhelper import yaml_parse

# Files on which the deployment depends besides the template, the functions and this file.
DEPLOYED_WITH = (ROOT / "local/requirements.txt", ROOT / "local/paths.py", *(ROOT / "local/patches").rglob("*.py"))
STACK = "tenon"
# Architecture of this machine, for which the functions are built.
ARCHITECTURE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


@dataclass
class Stack:
    """A deployed stack: the API's URL, and the outputs of the template."""

    url: str
    outputs: dict[str, str]


def collect(folder: Path) -> str:
    """Copies the functions and the template to a folder, and returns their digest.

    The functions are those of the binary `local`, or their own binaries of the profile in
    TENON_PROFILE. The copy of the template refers to zips of them instead of to the release build.
    """
    template = (ROOT / "template.yaml").read_text()
    names = function_names()
    if profile := os.environ.get("TENON_PROFILE"):
        if not (TARGET / profile / names[0]).exists():
            sys.exit(f"There are no functions in {TARGET / profile}: build them first")
        functions = [(TARGET / profile / name).read_bytes() for name in names]
    else:
        local = (TARGET / "debug/local").read_bytes()
        for former in folder.glob("local-*"):
            former.unlink()
        # The name changes with the content, so that the functions are deployed again.
        program = folder / f"local-{hashlib.sha256(local).hexdigest()[:16]}"
        program.write_bytes(local)
        program.chmod(0o755)
        functions = [f"#!/bin/sh\nexec {shlex.quote(str(program))} {name}\n".encode() for name in names]
    # Compression releases the interpreter's lock.
    with ThreadPoolExecutor() as threads:
        list(threads.map(functools.partial(_collect_function, folder / "functions"), names, functions))
    # The SAM CLI reads the template seven times, and YAML takes a second each time.
    (folder / "template.json").write_text(json.dumps(yaml_parse(refer_to_zips(template))))
    deployment = [file.read_bytes() for file in sorted((Path(__file__), *DEPLOYED_WITH))]
    return hashlib.sha256(b"".join([template.encode(), *functions, *deployment])).hexdigest()


def _collect_function(folder: Path, name: str, code: bytes) -> None:
    """Writes a function to a folder, and a zip of it.

    SAM would compress each binary as far as possible, which takes longer than the deployment.
    """
    bootstrap = folder / name / "bootstrap"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.unlink(missing_ok=True)
    bootstrap.write_bytes(code)
    bootstrap.chmod(0o755)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        zipped.write(bootstrap, "bootstrap")


def deploy(emulator: Emulator, folder: Path) -> Stack:
    """Deploys the template and the binaries that were collected in a folder."""
    command = [
        sys.executable, "-m", "samcli", "deploy",
        "--template-file", str(folder / "template.json"), "--stack-name", STACK, "--region", REGION,
        "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--no-progressbar",
        "--parameter-overrides", f"Architecture={ARCHITECTURE}", "DeletionProtection=false", "WebhookLoopback=true",
        # Each concurrent invocation is a process of this machine.
        "WebhookConcurrency=64", "DrainConcurrency=16", "ReplayConcurrency=8",
    ]  # fmt: skip
    environment = {
        **os.environ,
        **emulator.environment(),
        "SAM_CLI_TELEMETRY": "0",
        # Seconds between requests for the state of the stack.
        "SAM_CLI_POLL_DELAY": "0.5",
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),
    }
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"The deployment failed:\n{done.stdout}\n{done.stderr}")
    bridge_routes(emulator)
    deployed = describe(emulator)
    set_public_url(emulator, deployed.url)
    return deployed


def describe(emulator: Emulator, name: str = STACK) -> Stack:
    """Returns a deployed stack."""
    found = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}
    # On AWS the API has its own host name. In the emulator it has a path.
    api = _resource(emulator, name, "Api")
    return Stack(f"{emulator.endpoint}/_aws/execute-api/{api}/$default", outputs)


def _resource(emulator: Emulator, stack: str, logical_id: str) -> str:
    resource = emulator.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return resource["StackResourceDetail"]["PhysicalResourceId"]


def set_public_url(emulator: Emulator, url: str) -> None:
    """Sets the base URL of the API, which requests to the emulator do not contain."""
    functions = emulator.client("lambda")
    for name in ("integrations-install-url", "modal"):
        function = f"{STACK}-{name}"
        configuration = functions.get_function_configuration(FunctionName=function)
        variables = configuration["Environment"]["Variables"] | {"PUBLIC_URL": url}
        functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})


def bridge_routes(emulator: Emulator, stack: str = STACK) -> None:
    """Creates the routes of a stack's API from the OpenAPI body that SAM generates."""
    template = emulator.client("cloudformation").get_template(StackName=stack, TemplateStage="Processed")[
        "TemplateBody"
    ]
    if isinstance(template, str):
        template = json.loads(template)
    gateway, api = emulator.client("apigatewayv2"), _resource(emulator, stack, "Api")
    for route in gateway.get_routes(ApiId=api)["Items"]:
        gateway.delete_route(ApiId=api, RouteId=route["RouteId"])
    body = template["Resources"]["Api"]["Properties"]["Body"]
    cors = body["x-amazon-apigateway-cors"]
    settings = {name[0].upper() + name[1:]: int(value) if name == "maxAge" else value for name, value in cors.items()}
    gateway.update_api(ApiId=api, CorsConfiguration=settings)

    def function_arn(uri: dict[str, Any]) -> str:
        # SAM names the function as `${LogicalId.Arn}` in the URI or as a variable of the Sub.
        match uri["Fn::Sub"]:
            case [_, {"__FunctionArn__": {"Fn::GetAtt": [logical_id, _]}}]:
                pass
            case text:
                logical_id = text.split("/functions/${")[1].split(".Arn}")[0]
        name = _resource(emulator, stack, logical_id)
        return emulator.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]

    authorizers: dict[str, str] = {}
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
            schemes = [name for requirement in operation.get("security", []) for name in requirement]
            required = [authorizers[name] for name in schemes if name in authorizers]
            security = {"AuthorizationType": "CUSTOM", "AuthorizerId": required[0]} if required else {}
            key, target = f"{method.upper()} {path}", f"integrations/{integration}"
            gateway.create_route(ApiId=api, RouteKey=key, Target=target, **security)


def _invocation(arn: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
