"""Software bill of materials of a package (CycloneDX): the crates of the functions, and Preact."""

import json
import re
import subprocess
import tomllib
import uuid
from pathlib import Path
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# Kinds of dependencies that take part in a build of the functions: `None` is a normal dependency.
BUILD_KINDS = {None, "build"}


def sbom(root: Path, version: str, target: str) -> str:
    """Returns the document for a Rust target. It has no date, to be reproducible."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout)
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    dependencies = {
        node["id"]: {
            dependency["pkg"]
            for dependency in node["deps"]
            if any(kind["kind"] in BUILD_KINDS for kind in dependency["dep_kinds"])
        }
        for node in metadata["resolve"]["nodes"]
    }
    functions = next(crate["id"] for crate in metadata["packages"] if crate["name"] == "functions")
    used = _reachable(functions, dependencies)
    # The crates of the workspace are the product itself.
    own = used & set(metadata["workspace_members"])

    product = Component(
        type=ComponentType.APPLICATION,
        name="tenon",
        version=version,
        bom_ref=f"tenon@{version}",
        licenses=[LicenseFactory().make_from_string(crates[functions]["license"])],
    )
    components = {
        crate: _component(crates[crate], checksums[crates[crate]["name"], crates[crate]["version"]])
        for crate in used - own
    }
    preact = _preact(root)
    bom = Bom(metadata=BomMetaData(component=product), components=[*components.values(), preact])
    direct = [components[crate] for crate in set().union(*(dependencies[crate] for crate in own)) - own]
    bom.register_dependency(product, [*direct, preact])
    for crate, component in components.items():
        bom.register_dependency(component, [components[dependency] for dependency in dependencies[crate]])
    return _reproducible(JsonV1Dot6(bom).output_as_string())


def _reachable(start: str, dependencies: dict[str, set[str]]) -> set[str]:
    found, waiting = set(), {start}
    while waiting:
        crate = waiting.pop()
        found.add(crate)
        waiting |= dependencies[crate] - found
    return found


def _component(crate: dict[str, Any], checksum: str) -> Component:
    # Old manifests separate alternative licences by a slash.
    licence = re.sub(r" */ *", " OR ", crate["license"]) if crate["license"] else crate["license_file"]
    references = (
        [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(crate["repository"]))]
        if crate["repository"]
        else []
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=crate["name"],
        version=crate["version"],
        bom_ref=f"{crate['name']}@{crate['version']}",
        purl=PackageURL("cargo", name=crate["name"], version=crate["version"]),
        licenses=[LicenseFactory().make_from_string(licence)],
        # The checksum of the crate's archive in the registry.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)],
        external_references=references,
    )


def _preact(root: Path) -> Component:
    """Returns the library of the console, which is part of the source tree."""
    text = (root / "functions/src/api/console/preact.js").read_text()
    found = re.match(r"// Preact (\S+), generated", text)
    if not found:
        raise ValueError("preact.js does not begin with its version")
    version = found[1]
    return Component(
        type=ComponentType.LIBRARY,
        name="preact",
        version=version,
        bom_ref=f"preact@{version}",
        purl=PackageURL("npm", name="preact", version=version),
        licenses=[LicenseFactory().make_from_string("MIT")],
    )


def _reproducible(document: str) -> str:
    parsed = json.loads(document)
    del parsed["metadata"]["timestamp"], parsed["serialNumber"]
    parsed["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(parsed, sort_keys=True)).urn
    return json.dumps(parsed, indent=1, sort_keys=True) + "\n"
