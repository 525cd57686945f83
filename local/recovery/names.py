"""Canonical forms of usernames and email addresses.

`email.rs` and `names.rs` in `shared/src/domain` form them.
"""

import re
import unicodedata

import idna

# Words with dots between them, which need no quotes in an email address.
WORD = r"[\w!#$%&'*+/=?^`{|}~\-\u0080-\U0010ffff]+"
WORDS = re.compile(rf"{WORD}(\.{WORD})*")


def canonical(name: str) -> str | None:
    """Returns the canonical form of a username or an email address, or None if it is invalid."""
    local, at, domain = name.rpartition("@")
    if not at:
        return folded(name)
    if local[:1] == local[-1:] == '"' and WORDS.fullmatch(local[1:-1]):
        local = local[1:-1]
    try:
        return folded(f"{folded(local)}@{ascii_domain(domain)}")
    except idna.IDNAError:
        return None


def folded(text: str) -> str:
    """Returns a text in Unicode NFC, without differences of case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def ascii_domain(domain: str) -> str:
    """Returns a valid domain name in ASCII, as UTS 46 defines it."""
    labels = idna.uts46_remap(domain, std3_rules=False, transitional=False).split(".")
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
