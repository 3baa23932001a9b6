"""Real containers, run locked down: no root, a read-only root file system, a tmpfs on /tmp, no capability.

`CONTAINER_TOOL` is the command of a Docker-like engine with its global options (default: docker or podman, whichever
answers). `CONTAINER_IMAGE` and `BENTO_IMAGE` name images that are built already; without the first it is built here.
"""

import contextlib
import functools
import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from tests.deploy.tools import ROOT
from tests.e2e.server import free_port

LOCKED_DOWN = (
    *("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges"),
    *("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096"),
)


@functools.cache
def engine() -> tuple[str, ...]:
    """The command of a working container engine; skips the test where there is none."""
    named = os.environ.get("CONTAINER_TOOL")
    for command in [named] if named else ["docker", "podman"]:
        words = tuple(shlex.split(command))
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "info"], capture_output=True, check=False).returncode == 0
        ):
            return words
    pytest.skip(f"no container engine answers: {named or 'docker, podman'} (set CONTAINER_TOOL)")


def tool(*arguments: str) -> str:
    """Run the engine and return what it prints."""
    finished = subprocess.run([*engine(), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{arguments}: {finished.stderr}"
    return finished.stdout.strip()


@functools.cache
def image() -> str:
    """The CPU image of deploy/Dockerfile."""
    engine()
    if named := os.environ.get("CONTAINER_IMAGE"):
        return named
    tool("build", "--file", "deploy/Dockerfile", "--tag", "convserve:test", ".")
    return "convserve:test"


@dataclass
class Container:
    """A running container: its name and the port of the host that it listens on."""

    name: str
    port: int
    started: float

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, within_s: float = 60) -> float:
        """Wait until `/readyz` is 200 and return the seconds since the engine was asked to start."""
        with httpx2.Client(base_url=self.url, timeout=5) as client:
            while time.monotonic() - self.started < within_s:
                with contextlib.suppress(httpx2.TransportError):
                    if client.get("/readyz").status_code == 200:
                        return time.monotonic() - self.started
                time.sleep(0.02)
        raise RuntimeError(f"not ready within {within_s} s; its log:\n{tool('logs', self.name)}")

    def terminate(self) -> None:
        """SIGTERM to its first process, and no wait."""
        tool("kill", "--signal=SIGTERM", self.name)

    def wait(self) -> int:
        """The exit status, when it has ended."""
        return int(tool("wait", self.name))


@contextlib.contextmanager
def running(of: str, *options: str) -> Iterator[Container]:
    """A container of an image, removed at the end; more *options* are the engine's."""
    name, port = f"convserve-{uuid.uuid4().hex[:8]}", free_port()
    started = time.monotonic()
    tool("run", "--detach", f"--name={name}", *LOCKED_DOWN, f"--env=BENTOML_PORT={port}", *options, of)
    try:
        yield Container(name, port, started)
    finally:
        tool("rm", "--force", name)
