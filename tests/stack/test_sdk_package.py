"""The package in sdk/ as npm packs it: its files and types, and its use without a DOM."""

import json
from pathlib import Path

import pytest
from sdk_package import REACT_VERSIONS, ROOT, SOURCES, make_project, needs_node, pack, run

pytestmark = needs_node

MODULES = ("nodenext", "preserve")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the packed files."""
    return pack(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module", params=REACT_VERSIONS)
def project(request: pytest.FixtureRequest, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project with a version of React."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder, SOURCES, package, react=request.param)
    return folder


def test_package_has_all_entries_and_the_licence(package: Path) -> None:
    modules = ["alloy", "react", "tenon", "tenon.global"]
    expected = [f"{name}.{kind}" for name in modules for kind in ("d.ts", "js")]
    files = [str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(["LICENSE", "README.md", "package.json", *expected])
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    manifest = json.loads((package / "package.json").read_text())
    assert "private" not in manifest
    entries = {name: entry for name, entry in manifest["exports"].items() if name != "./package.json"}
    for entry in entries.values():
        assert list(entry) == ["types", "default"]
        assert all((package / path).is_file() for path in entry.values())


@pytest.mark.parametrize("modules", MODULES)
def test_types_of_all_entries_fit_a_strict_project(project: Path, modules: str) -> None:
    run(["node", "node_modules/typescript/bin/tsc", "--project", ".", "--module", modules], project)


@pytest.mark.parametrize("name", ["without_dom", "alloy"])
def test_package_passes_its_tests_in_node(project: Path, name: str) -> None:
    run(["node", "--test", f"{name}.test.js"], project)
