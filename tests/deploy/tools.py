"""Programs that some of these tests need and Debian packages: missing ones skip a test, in CI they fail it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"


def need(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped, or failed in CI, where it has to be."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (Debian: apt-get install {package})"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a program and return what it prints; fails with all of it if its exit status is not 0."""
    finished = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{command}: {finished.stdout}{finished.stderr}"
    return finished.stdout
