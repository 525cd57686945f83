"""Checks the wording of tracked files against docs/style.md.

Reports comments, docstrings, descriptions and headings that begin with a free relative or a
quantifier ("What is sent.", "So many bytes."), phrases that have a standard equivalent, and
comments with lines that are too long. Prints each finding as `file:line` with the total per rule,
and exits with 1 above the limits.

Usage: language_check.py [--quiet]      --quiet prints the totals only
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# Limits: openings in percent of the lines of each kind, and the total number of phrases.
MAX_OPENINGS_PERCENT = 2.0
MAX_PHRASES = 60
# Maximum number of columns of a line of a comment.
MAX_COLUMNS = 100

# Files that are not checked, with the reason.
SKIPPED = {
    "Cargo.lock": "generated",
    "*LICENSE": "legal text",
    "docs/openapi.json": "generated from the handlers, which are checked",
    "docs/reference.md": "generated from docs/openapi.json",
    "sdk/node/src/api.ts": "generated from docs/openapi.json",
    "sdk/python/src/tenon_client/models.py": "generated from docs/openapi.json",
    "sdk/python/src/tenon_client/operations.py": "generated from docs/openapi.json",
    "examples/fastapi/requirements.txt": "generated",
    "docs/style.md": "quotes the phrases that it replaces",
    "local/*requirements.txt": "generated",
    "local/language_check.py": "contains the phrases",
    "shared/certificates/*": "certificates",
}

# Accepted uses: a file pattern, a pattern of the line, and the reason.
ALLOWED = [
    ("*", r"\brelease notes?\b", "a standard term"),
    ("*.css", r"\bnote\b", "the name of a class"),
]

OPENING = re.compile(
    r"(What|Whatever|How|However many|Where|Wherever|Who|Whoever|Whom|Whose|Which|Why|So (many|much|long)|That|Those (which|who|that)"
    r"|(By|For|From|In|Of|On|To|With) (what|whom|which|whose)|The most|As (it|they|he|she)|All (that|what|who)|Nothing that"
    r"|Everything that)\b"
    r"|When\b[^,]*\.$"  # "When it was created.", but not "When an attempt fails, …"
)

PHRASES = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "told, tells of": r"\btold\b|\btells? of\b",
        "noted": r"\bnot(ed?|es)\b(?! that)",
        "written down": r"\b(written|writes?|wrote) down\b",
        "goes on": r"\bgo(es)? on\b|\bgone on\b|\bgoing on\b",
        "came of": r"\b(came|comes?) of\b",
        "what becomes of": r"\bbec(ame|omes?) of\b",
        "at once": r"\bat once\b",
        "any more": r"\b(not?|never|nothing|nobody|none|longer)\b[^.;]*\bany ?more\b|\bany more\b(?! \w+s\b)",
        "put aside": r"\b(puts?|putting) (\w+ )?aside\b",
        "taken away": r"\b(takes?|taken|took|taking) (\w+ )?away\b",
        "taken out": r"\b(takes?|taken|took|taking) (\w+ )?out\b",
        "lets itself": r"\blets? itself\b",
        "left alone": r"\bleft alone\b|\bleaves? alone\b",
        "beside": r"\bbeside\b",
        "stands in, for": r"\bst(an|oo)ds? (in|for|beside|still|there|here|after|before|around|on)\b",
        "answers with": r"\banswer(s|ed|ing)? with\b",
        "past its time": r"\bpast (its|their) time\b|\b(its|their) time is over\b",
        "by which, by whom": r"\bby wh(ich|om)\b",
        "the most": r"\bthe most\b",
        "so many": r"\bso many\b",
        "in the clear": r"\bin the clear\b",
        "no such": r"\b(there (is|was|are)|is there) no such\b",
        "all the same": r"\ball the same\b",
        "in vain": r"\bin vain\b",
        "under way": r"\bunder ?way\b",
        "mend": r"\bmend(s|ed|ing)?\b",
        "handed on": r"\bhand(s|ed)? (\w+ )?on\b",
        "switched off": r"\bswitch(es|ed)? (\w+ )?o(ff|n)\b",
        "does well": r"\bhow (a |the |its? |their )?\w+ do(es)?\b(?! not)",
        "looks at": r"\blooked (at|into)\b",
        "whoever, whatever": r"\b(whoever|whatever|wherever)\b",
    }.items()
}

# The text of a comment line, per file type.
SLASHES = re.compile(r"\s*(///|//!|//|/\*\*?)\s+(?P<text>\S.*)")
HASHES = re.compile(r"\s*#+\s+(?P<text>\S.*)|\s*Description:\s*[\"']?(?P<description>\S.*)|[a-z-]+:.*## (?P<help>\S.*)")
HEADING = re.compile(r"#+\s+(?P<text>\S.*)")
DESCRIPTION = re.compile(r"\bdescription = \"(?P<text>[^\"]+)")


def tracked_files() -> list[str]:
    """Returns the tracked files that are checked and exist."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in listed if Path(name).is_file() and not any(fnmatch(name, skip) for skip in SKIPPED)]


def docstring_lines(source: str) -> Iterator[tuple[int, str]]:
    """Yields the lines of all docstrings of a Python file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            for offset, line in enumerate((ast.get_docstring(node, clean=False) or "").splitlines()):
                yield node.body[0].lineno + offset, line.strip()


def prose(name: str, source: str) -> Iterator[tuple[str, int, str]]:
    """Yields the kind, line number and text of each line of comments, descriptions and headings."""
    suffix = Path(name).suffix
    if suffix == ".py":
        yield from (("docstring", number, text) for number, text in docstring_lines(source) if text)
    for number, line in enumerate(source.splitlines(), 1):
        if suffix == ".rs" and (match := DESCRIPTION.search(line)):
            yield "description", number, match["text"]
        if suffix in {".rs", ".js", ".ts"} and (match := SLASHES.match(line)):
            yield ("doc comment" if match[1] in {"///", "//!"} else "comment"), number, match["text"]
        elif suffix == ".md" and (match := HEADING.match(line)):
            yield "heading", number, match["text"]
        elif (suffix in {".py", ".toml", ".yaml", ".yml", ".sh"} or Path(name).name in {"Makefile", "run"}) and (
            match := HASHES.match(line)
        ):
            text = match["text"] or match["description"] or match["help"]
            yield ("comment" if match["text"] else "description"), number, text


def is_allowed(name: str, line: str) -> bool:
    """Returns whether a line is an accepted use."""
    return any(fnmatch(name, files) and re.search(pattern, line, re.IGNORECASE) for files, pattern, _ in ALLOWED)


def main() -> int:
    """Prints the findings and totals. Returns the exit code."""
    show = (lambda _: None) if "--quiet" in sys.argv[1:] else print
    lines: Counter[str] = Counter()
    openings: Counter[str] = Counter()
    phrases: Counter[str] = Counter()
    too_long = 0
    for name in tracked_files():
        try:
            source = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a binary file
        for kind, number, text in prose(name, source):
            lines[kind] += 1
            if kind in {"comment", "doc comment"} and len(shown := source.splitlines()[number - 1]) > MAX_COLUMNS:
                too_long += 1
                show(f"{name}:{number}: {kind} has more than {MAX_COLUMNS} columns: {shown.strip()}")
            if OPENING.match(text) and not is_allowed(name, text):
                openings[kind] += 1
                show(f"{name}:{number}: {kind} begins with a free relative: {text}")
        for number, line in enumerate(source.splitlines(), 1):
            for phrase, pattern in PHRASES.items():
                if (count := len(pattern.findall(line))) and not is_allowed(name, line):
                    phrases[phrase] += count
                    show(f"{name}:{number}: {phrase}: {line.strip()[:120]}")
    for phrase, count in phrases.most_common():
        print(f"{count:5}  {phrase}")
    for kind, count in lines.items():
        print(
            f"{openings[kind]:5} of {count} lines of kind {kind} ({100 * openings[kind] / count:.1f} %) begin with a free relative"
        )
    print(f"{phrases.total():5} phrases, at most {MAX_PHRASES}")
    print(f"{too_long:5} lines of comments with more than {MAX_COLUMNS} columns")
    too_many = any(100 * openings[kind] / count > MAX_OPENINGS_PERCENT for kind, count in lines.items())
    return 1 if too_many or too_long or phrases.total() > MAX_PHRASES else 0


if __name__ == "__main__":
    sys.exit(main())
