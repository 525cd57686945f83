"""A package: its content, and a deployment of it without a source tree."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stack as stacks
import tenon
from deployment import needs_aws, run_script
from emulator import Emulator
from paths import ROOT
from stack import ARCHITECTURE, Stack
from template import Template

pytestmark = pytest.mark.alone

PYTHON = ROOT / ".local" / "package-venv" / "bin" / "python"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# Binary that runs a function of the binary `local`, because building and compressing all functions
# takes minutes.
LAUNCHER = "int execl(const char *, ...); int main(void) { return execl(PROGRAM, PROGRAM, FUNCTION, (char *)0); }"
# Programs that the script needs in addition to a CLI of AWS.
PROGRAMS = "awk bash cat cut dirname grep mktemp rm sed sha256sum sort tail xargs"


def build(folder: Path, architecture: str = ARCHITECTURE) -> Path:
    """Builds a package. Returns the archive."""

    def compile_launcher(source: Path) -> None:
        bootstrap = folder / "functions" / source.stem / "bootstrap"
        bootstrap.parent.mkdir(parents=True)
        names = {"PROGRAM": stacks.TARGET / "debug/local", "FUNCTION": source.stem}
        macros = [f'-D{name}="{value}"' for name, value in names.items()]
        subprocess.run(["cc", *macros, "-xc", "-", "-o", bootstrap], input=LAUNCHER, text=True, check=True)

    # The compilers are processes of their own.
    with ThreadPoolExecutor() as threads:
        list(threads.map(compile_launcher, (ROOT / "functions/src/bin").glob("*.rs")))
    command: list[str | Path] = [
        PYTHON,
        ROOT / "local" / "package.py",
        architecture,
        folder / "functions",
        folder / "dist",
    ]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Path(result.stdout.strip())


@pytest.fixture(scope="module")
def archive(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a package."""
    return build(tmp_path_factory.mktemp("package"))


@pytest.fixture
def package(archive: Path, tmp_path: Path) -> Path:
    """An unpacked package."""
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    return tmp_path / archive.name.removesuffix(".tar.gz")


def test_a_package_has_the_version_of_cargo_toml(template: Template, package: Path, stack: Stack) -> None:
    assert package.name == f"tenon-{VERSION}-{ARCHITECTURE}"
    assert template.outputs["Version"]["Value"] == {"Fn::FindInMap": ["Release", "Tenon", "Version"]}
    assert stack.outputs["Version"] == VERSION


def test_equal_binaries_give_an_equal_archive(emulator: Emulator, tmp_path: Path) -> None:
    archives = [build(tmp_path / name) for name in ("first", "second")]
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_a_binary_of_another_architecture_is_rejected(emulator: Emulator, tmp_path: Path) -> None:
    other = "x86_64" if ARCHITECTURE == "arm64" else "arm64"
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path, architecture=other)


def test_a_package_has_the_documents_to_which_its_documents_link(package: Path) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    assert (package / "docs" / "operations.md").read_text() == guide, "the guide links to nothing that is not packed"
    documents = list(package.rglob("*.md"))
    links = [(document, link) for document in documents for link in re.findall(r"\]\(([^)#]+)", document.read_text())]
    assert len(links) > 5
    assert [link for document, link in links if ":" not in link and not (document.parent / link).is_file()] == []


def test_sbom_is_valid_and_lists_each_crate_of_the_functions(package: Path) -> None:
    path = package / "sbom.cdx.json"
    validate = (
        "import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import JsonStrictValidator; "
        "sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) or '') or 0)"
    )
    subprocess.run([PYTHON, "-c", validate, path], check=True)
    document = json.loads(path.read_text())
    assert document["metadata"]["component"]["version"] == VERSION
    locked = {
        f"pkg:cargo/{crate['name']}@{crate['version']}": crate.get("checksum")
        for crate in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    [preact] = [component for component in document["components"] if component["purl"].startswith("pkg:npm/")]
    installed = (ROOT / "functions/src/api/console/preact.js").read_text().split()[2].rstrip(",")
    assert preact["purl"] == f"pkg:npm/preact@{installed}"
    for component in document["components"]:
        assert component["licenses"], component
        if component is preact:
            continue
        assert component["hashes"] == [{"alg": "SHA-256", "content": locked[component["purl"]]}]
    names = {component["name"] for component in document["components"]}
    assert {"aws-sdk-dynamodb", "lambda_http", "ring", "tokio"} <= names
    # Neither crates of the workspace nor of its tests and benchmarks.
    assert not names & {"tenon", "functions", "fantoccini", "proptest", "rcgen"}


def test_a_changed_package_is_not_deployed(package: Path) -> None:
    with (package / "functions" / "users_create.zip").open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))
    (package / "template.yaml").write_text((package / "template.yaml").read_text() + "# changed\n")
    (package / "functions" / "users_get.zip").unlink()
    code, output = run_script(package / "deploy.sh", "packaged")
    assert code == 1
    changed = "functions/users_create.zip functions/users_get.zip template.yaml"
    assert f"✗ changed or missing files, unpack the package again: {changed}\n" in output
    assert "uploading" not in output


def link_programs(folder: Path) -> Path:
    """Creates a folder with the programs that the script needs in addition to a CLI of AWS."""
    programs = folder / "bin"
    programs.mkdir()
    for program in PROGRAMS.split():
        found = shutil.which(program)
        assert found, program
        (programs / program).symlink_to(found)
    return programs


def test_a_package_deploys_with_the_sam_cli_alone(package: Path, emulator: Emulator, tmp_path: Path) -> None:
    programs = link_programs(tmp_path)
    (programs / "sam").symlink_to(ROOT / ".local" / "venv" / "bin" / "sam")
    deploy(emulator, package, "packaged-by-sam", {"PATH": str(programs), "HOME": str(tmp_path)})


def run_with(package: Path, folder: Path, name: str, script: str, *arguments: str) -> tuple[int, str]:
    """Runs deploy.sh with a script instead of the AWS CLI or the SAM CLI, and without the other."""
    programs = link_programs(folder)
    (programs / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (programs / name).chmod(0o755)
    return run_script(package / "deploy.sh", *arguments, PATH=str(programs), HOME=str(folder))


def test_every_value_of_a_parameter_reaches_the_sam_cli(package: Path, tmp_path: Path) -> None:
    sam = """[ "$1" != list ] || exit 1; printf '<%s>' "$@\""""
    arguments = ["--tag", "Link=a=b", "--tag", "Team=a b", "packaged", "AlarmEmail=", "TokenIssuer=my issuer="]
    code, output = run_with(package, tmp_path, "sam", sam, *arguments)
    assert code == 0, output
    parameters = {"AlarmEmail": "", "TokenIssuer": "my issuer="}
    tags = {"Stack": "packaged", "Link": "a=b", "Team": "a b"}
    for kind, values in (("CfnParameterOverridesType", parameters), ("CfnTags", tags)):
        given = [f'{name}="{value}"' for name, value in values.items()]
        assert "".join(f"<{pair}>" for pair in given) in output
        # As the SAM CLI reads them.
        read = f"import sys; from samcli.cli.types import {kind} as Type; print(Type().convert(tuple(sys.argv[1:]), None, None))"
        shown = subprocess.run([sys.executable, "-c", read, *given], check=True, capture_output=True, text=True).stdout
        assert shown == f"{values}\n"


def test_a_deployment_that_may_still_run_has_not_failed(package: Path, tmp_path: Path) -> None:
    aws = """started=${0%/*}/started
case "$1 $2" in
    "sts get-caller-identity") echo "111111111111 arn:aws:iam::111111111111:user/me" ;;
    "cloudformation deploy") : >"$started"; exit 255 ;;
    "cloudformation describe-stacks")
        if [ -e "$started" ]; then printf "\nAn error occurred (ExpiredToken)\n" >&2; else echo "does not exist" >&2; fi
        exit 254 ;;
esac"""
    code, output = run_with(package, tmp_path, "aws", aws, "--bucket", "packages", "packaged")
    assert code == 1
    assert "The deployment may still be running: An error occurred (ExpiredToken)" in output
    assert "aws cloudformation describe-stacks --region us-east-1 --stack-name packaged" in output
    assert "failed" not in output


def test_causes_of_a_failed_deployment_are_named_whatever_the_clock_says(package: Path, tmp_path: Path) -> None:
    # The clock of this machine is years ahead.
    aws = """case "$1 $2" in
    "sts get-caller-identity") echo "111111111111 arn:aws:iam::111111111111:user/me" ;;
    "cloudformation deploy") exit 255 ;;
    "cloudformation describe-stacks") echo UPDATE_ROLLBACK_COMPLETE ;;
    "cloudformation describe-stack-events")
        case "$*" in
            *"--max-items 1 "*) printf '2020-01-01T10:00:00.500000+00:00\\nNone\\n' ;;
            *)
                printf '2020-01-01T10:05:01+00:00\\tErrors\\tResource update cancelled\\n'
                printf '2020-01-01T10:05:00.100000+00:00\\tApi\\tof this deployment\\n'
                printf '2020-01-01T10:00:00.500000+00:00\\tQueue\\tof an earlier deployment\\nNone\\n' ;;
        esac ;;
esac"""
    code, output = run_with(package, tmp_path, "aws", aws, "--bucket", "packages", "packaged")
    assert code == 1
    causes = output.partition("s3://packages …\n")[2].splitlines()[:-1]
    assert causes == ["2020-01-01T10:05:00.100000+00:00\tApi\tof this deployment"], output


@pytest.mark.parametrize(
    ("refused", "problem"),
    [
        ("create-bucket", "The bucket {} cannot be created."),
        ("put-public-access-block", "Public access to the bucket {} cannot be blocked."),
        ("put-bucket-encryption", "The encryption of the bucket {} cannot be set."),
    ],
)
def test_no_code_is_uploaded_to_a_bucket_without_its_settings(
    package: Path, tmp_path: Path, refused: str, problem: str
) -> None:
    # The bucket exists in the second run if the first one has created it.
    aws = f"""case "$1 $2" in
    "sts get-caller-identity") echo "111111111111 arn:aws:iam::111111111111:user/me" ;;
    "cloudformation describe-stacks") echo "does not exist" >&2; exit 254 ;;
    "s3api head-bucket") [ -e "${{0%/*}}/bucket" ] || exit 254 ;;
    "s3api {refused}") echo AccessDenied >&2; exit 254 ;;
    "s3api create-bucket") : >"${{0%/*}}/bucket" ;;
esac"""
    code, output = run_with(package, tmp_path, "aws", aws, "packaged")
    for _ in range(2):
        assert code == 1
        assert f"AccessDenied\n{problem.format('tenon-packages-111111111111-us-east-1')}" in output
        assert "uploading" not in output
        code, output = run_script(package / "deploy.sh", "packaged", PATH=str(tmp_path / "bin"), HOME=str(tmp_path))


def test_the_sam_cli_alone_replaces_no_stack_of_another_application(package: Path, tmp_path: Path) -> None:
    sam = """[ "$1" = list ] && echo '[{"OutputKey": "Bucket", "OutputValue": "pictures"}]'"""
    code, output = run_with(package, tmp_path, "sam", sam, "pictures")
    assert code == 1
    assert "✗ the stack pictures belongs to another application: choose another name\n" in output


@needs_aws
def test_a_package_deploys_with_the_aws_cli(package: Path, emulator: Emulator) -> None:
    deploy(emulator, package, "packaged-by-aws", {})
    [bucket] = [name for name in buckets(emulator) if name.startswith("tenon-packages-")]
    assert bucket == "tenon-packages-111111111111-us-east-1"
    blocked = emulator.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    assert emulator.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    [rule] = emulator.client("s3").get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}


def buckets(emulator: Emulator) -> list[str]:
    """Returns the names of all buckets."""
    return [bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]]


def deploy(emulator: Emulator, package: Path, name: str, settings: dict[str, str]) -> None:
    """Deploys a package, runs the commands that the script prints next, and uses the API."""
    arguments = ["--tag", "Team=integrations", name, "DeletionProtection=false", "LogLevel=WARN"]
    code, output = run_script(package / "deploy.sh", *arguments, **settings)
    assert code == 0, output
    [created] = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    assert {"Key": "Team", "Value": "integrations"} in created["Tags"]
    assert {"Key": "Stack", "Value": name} in created["Tags"]
    assert {"LogLevel": "WARN", "Architecture": ARCHITECTURE}.items() <= {
        parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in created["Parameters"]
    }.items()
    stacks.bridge_routes(emulator, name)
    deployed = stacks.describe(emulator, name)

    new_environment, new_key = re.findall(r"^  ((?:aws|sam) .*\\\n.*)$", output, re.MULTILINE)
    environment = run(new_environment, settings)["environmentId"]
    manage = tenon.Api(deployed.url, run(new_key.replace("<environmentId>", environment), settings)["key"])
    engine = tenon.Api(deployed.url, tenon.make_key(emulator, deployed, environment, "engine", ["engine"]))
    user = manage.call("POST", "/users", {"email": "joe.smoe@acme.example"}).body["userId"]
    token = manage.call("GET", f"/users/{user}/token").body["token"]
    workflow = manage.call("POST", "/workflows", {"userId": user, "name": "Orders"}).body["workflowId"]
    error = {
        "executionId": "6155ac246093840013297377",
        "blockId": "edb4e8e8-1e0e-4fac-84fd-9f9d4855ce93",
        "blockType": "alloy.shopify",
        "error": "Error: 403",
    }
    assert engine.call("POST", f"/workflows/{workflow}/errors", error).status == 202
    listed = tenon.Api(deployed.url, token).call("GET", f"/workflows/{workflow}/errors")
    assert [found["error"] for found in listed.body["errors"]] == ["Error: 403"]


def run(command: str, settings: dict[str, str]) -> dict[str, Any]:
    """Runs a command of the shell. Returns the first JSON object of its output."""
    result = subprocess.run(
        ["bash", "-c", command], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.JSONDecoder().raw_decode(result.stdout)[0]
