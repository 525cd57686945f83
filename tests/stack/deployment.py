"""Runs the deployment script."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

needs_aws = pytest.mark.skipif(not shutil.which("aws"), reason="needs the AWS CLI")


def run_script(script: Path, *arguments: str, **settings: str | None) -> tuple[int, str]:
    """Runs deploy.sh with changed environment variables. Returns the exit code and the output."""
    variables = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", **settings}
    environment = {name: value for name, value in variables.items() if value is not None}
    result = subprocess.run(
        [script, *arguments],
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout
