"""The functions' logs."""

import json
import tomllib
from itertools import chain

from conftest import NewEnvironment
from emulator import ROOT, Emulator
from stack import Stack


def test_every_log_line_names_the_version(emulator: Emulator, stack: Stack, new_environment: NewEnvironment) -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert new_environment().call("GET", "/environment")["version"] == version
    logs = emulator.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=stack.outputs["LogGroup"])
    events = chain.from_iterable(page["events"] for page in pages)
    lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    assert lines
    for line in lines:
        assert line.get("version") == version, line
