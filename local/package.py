"""Builds a package: an archive from which `deploy.sh` deploys Tenon without a source tree.

Equal binaries give an equal archive, byte by byte. Prints the path of the archive.

Usage: package.py ARCHITECTURE FUNCTIONS OUTPUT
"""

import argparse
import gzip
import hashlib
import io
import re
import sys
import tarfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from paths import CODE_URI, ROOT, refer_to_zips
from sbom import sbom

# Rust target, and machine type in the header of a binary (`e_machine` of ELF).
TARGETS = {"arm64": ("aarch64-unknown-linux-gnu", 0xB7), "x86_64": ("x86_64-unknown-linux-gnu", 0x3E)}
# The operations guide, and the documents that it links to.
DOCUMENTS = [
    "LICENSE",
    "CHANGELOG.md",
    "RELEASING.md",
    "SECURITY.md",
    "docs/operations.md",
    "docs/security.md",
    "docs/cost.md",
]
# Earliest time that a zip can store: the time of all files.
TIME = (1980, 1, 1, 0, 0, 0)
EXECUTABLE = 0o755


def main() -> None:
    """Writes the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", choices=TARGETS)
    parser.add_argument("functions", type=Path, help="folder of cargo-lambda, with a folder for each function")
    parser.add_argument("output", type=Path, help="folder of the archive")
    arguments = parser.parse_args()
    target, machine = TARGETS[arguments.architecture]

    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    template = (ROOT / "template.yaml").read_text()
    if f"Release: {{Tenon: {{Version: {version}}}}}" not in template:
        sys.exit(f"The mapping Release of template.yaml must have the version of Cargo.toml, {version}.")
    names = sorted(CODE_URI.findall(template))

    def zipped(name: str) -> bytes:
        return zip_function(arguments.functions / name / "bootstrap", machine)

    # Compression releases the interpreter's lock.
    with ThreadPoolExecutor() as threads:
        functions = dict(zip(names, threads.map(zipped, names), strict=True))
    files = {name: document(name) for name in DOCUMENTS} | {"deploy.sh": (ROOT / "deploy.sh").read_bytes()}
    files |= {f"functions/{name}.zip": content for name, content in functions.items()}
    files["template.yaml"] = packaged_template(template, arguments.architecture).encode()
    files["sbom.cdx.json"] = sbom(ROOT, version, target).encode()
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    files["SHA256SUMS"] = "".join(sums).encode()

    folder = f"tenon-{version}-{arguments.architecture}"
    arguments.output.mkdir(parents=True, exist_ok=True)
    archive = arguments.output / f"{folder}.tar.gz"
    write_archive(archive, folder, files)
    print(archive)


def document(name: str) -> bytes:
    """Returns a document. Of a link to a file that is not in the package, the text is left."""
    path = ROOT / name
    packed = {ROOT / other for other in DOCUMENTS}

    def linked(link: re.Match[str]) -> str:
        is_elsewhere = ":" in link["target"] or (path.parent / link["target"]).resolve() in packed
        return link[0] if is_elsewhere else link["text"]

    return re.sub(r"\[(?P<text>[^]\[]+)\]\((?P<target>[^)#]+)[^)]*\)", linked, path.read_text()).encode()


def zip_function(binary: Path, machine: int) -> bytes:
    """Returns a zip with a function's binary. Fails if that is built for another architecture."""
    code = binary.read_bytes() if binary.is_file() else b""
    if code[:4] != b"\x7fELF" or int.from_bytes(code[18:20], "little") != machine:
        sys.exit(f"{binary} is not a binary of the package's architecture: build the functions for it first.")
    entry = zipfile.ZipInfo("bootstrap", TIME)
    entry.external_attr = EXECUTABLE << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(entry, code, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def packaged_template(template: str, architecture: str) -> str:
    """Returns the template with the functions of the package, for their architecture only."""
    return refer_to_zips(template).replace(
        "    Default: arm64\n    AllowedValues: [arm64, x86_64]\n",
        f"    Default: {architecture}\n    AllowedValues: [{architecture}]\n",
    )


def write_archive(archive: Path, folder: str, files: dict[str, bytes]) -> None:
    """Writes a reproducible archive: files in order, without owner and time."""
    # Almost all of the content is compressed already.
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", 0, file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(content), EXECUTABLE if name == "deploy.sh" else 0o644
            tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main()
