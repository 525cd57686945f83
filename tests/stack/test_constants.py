"""Constants that scripts and tests share with the functions."""

import math
import re

import deployed
import status
from paths import ROOT
from recovery import directory

SHARED = ROOT / "shared/src"


def constant(file: str, name: str) -> int:
    """Returns an integer, or a duration in seconds, of the Rust code."""
    found = re.search(rf"const {name}: \w+ = (?:Duration::from_secs\()?([\d* ]+)", (SHARED / file).read_text())
    assert found, name
    return math.prod(int(factor) for factor in found[1].split("*"))


def test_scripts_have_the_constants_of_the_functions() -> None:
    assert constant("store/keys.rs", "BACKLOG_SHARDS") == status.SHARDS
    assert constant("store/keys.rs", "DELIVERY_SHARDS") == deployed.DELIVERY_SHARDS
    assert constant("domain/health.rs", "CIRCUIT_OPENS_AFTER") == status.CIRCUIT_THRESHOLD
    assert constant("store/tombstones.rs", "REMEMBERED") == directory.REMEMBERED
