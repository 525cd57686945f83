"""Preact for the console, as one module without dependencies.

`generate` writes functions/src/api/console/preact.js from the npm package, and `check` compares
the file with it. The console has no build step: the file is committed.
"""

import json
import re
import sys

from clients import without_node
from paths import ROOT

PACKAGE = ROOT / ".local/node/node_modules/preact"
MODULE = ROOT / "functions/src/api/console/preact.js"
EXPORTED = {
    "dist/preact.mjs": ["Fragment", "createContext", "h", "render"],
    "hooks/dist/hooks.mjs": [
        "useContext",
        "useEffect",
        "useErrorBoundary",
        "useLayoutEffect",
        "useMemo",
        "useRef",
        "useState",
    ],
}


def main() -> None:
    """Runs the command of the arguments."""
    if not PACKAGE.is_dir():
        without_node("Preact")
        return
    text = module()
    match sys.argv[1:]:
        case ["generate"]:
            MODULE.write_text(text)
        case ["check"]:
            if MODULE.read_text() != text:
                sys.exit(f"{MODULE.relative_to(ROOT)} differs from its package. Run `make generate`.")
        case _:
            sys.exit("usage: preact.py generate | check")


def module() -> str:
    """Returns the module: each part of Preact in a function, which hides its names."""
    preact, hooks = (scoped((PACKAGE / path).read_text()) for path in EXPORTED)
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    licence = (PACKAGE / "LICENSE").read_text().strip().splitlines()
    core, added = (", ".join(names) for names in EXPORTED.values())
    return "\n".join(
        [
            f"// Preact {version}, generated from its npm package by local/preact.py.",
            "//",
            *(f"// {line}".rstrip() for line in licence),
            "",
            f"export {{ {core}, {added} }};",
            "",
            f"const preact = {preact};",
            f"const {{ {core} }} = preact;",
            f"const {{ {added} }} = {hooks};",
            "",
        ]
    )


def scoped(text: str) -> str:
    """Returns an expression with the exports of a module."""
    text = re.sub(r"//# sourceMappingURL=.*", "", text).strip()
    text = re.sub(r'import\{([^}]*)\}from"preact";', lambda found: f"const{{{renamed(found[1])}}}=preact;", text)
    text, exports = re.subn(r"export\{([^}]*)\};$", lambda found: f"return{{{swapped(found[1])}}};", text)
    if exports != 1:
        sys.exit(f"a module of Preact does not end with its exports: {text[-200:]}")
    return f"(()=>{{{text}}})()"


def renamed(names: str) -> str:
    """Returns names of an import statement as those of a destructuring assignment."""
    return names.replace(" as ", ":")


def swapped(names: str) -> str:
    """Returns names of an export statement as members of an object."""
    return ",".join(":".join(reversed(name.split(" as "))) for name in names.split(","))


if __name__ == "__main__":
    main()
