"""The package in sdk/ as npm packs it: its files and types, and its use without a DOM."""

import json
import re
from pathlib import Path

import pytest
from sdk_package import REACT_VERSIONS, ROOT, SOURCES, make_project, needs_node, run

pytestmark = needs_node

MODULES = ("nodenext", "preserve")


@pytest.fixture(scope="module", params=REACT_VERSIONS)
def project(request: pytest.FixtureRequest, sdk_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project with a version of React."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder, SOURCES, sdk_package, react=request.param)
    examples = re.findall(r"```jsx?\n(.*?)```", (sdk_package / "README.md").read_text(), re.DOTALL)
    assert examples
    # The other examples import the first one.
    names = ["token", *[f"example-{index}" for index in range(1, len(examples))]]
    for name, example in zip(names, examples, strict=True):
        (folder / f"{name}.tsx").write_text(example)
    return folder


def test_package_has_all_entries_and_the_licence(sdk_package: Path) -> None:
    modules = ["alloy", "react", "tenon", "tenon.global"]
    expected = [f"{name}.{kind}" for name in modules for kind in ("d.ts", "js")]
    files = [str(path.relative_to(sdk_package)) for path in sdk_package.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(["LICENSE", "README.md", "package.json", *expected])
    assert (sdk_package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    manifest = json.loads((sdk_package / "package.json").read_text())
    assert "private" not in manifest
    entries = {name: entry for name, entry in manifest["exports"].items() if name != "./package.json"}
    for entry in entries.values():
        assert list(entry) == ["types", "default"]
        assert all((sdk_package / path).is_file() for path in entry.values())


@pytest.mark.parametrize("modules", MODULES)
def test_types_and_examples_compile_in_a_strict_project(project: Path, modules: str) -> None:
    run(["node", "node_modules/typescript/bin/tsc", "--project", ".", "--module", modules], project)


@pytest.mark.parametrize("name", ["without_dom", "alloy"])
def test_package_passes_its_tests_in_node(project: Path, name: str) -> None:
    run(["node", "--test", f"{name}.test.js"], project)
