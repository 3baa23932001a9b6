"""The real `bentoml serve`, started and ended by tests."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx2
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST_PORT, FIRST_EPHEMERAL_PORT = 10_000, 32_768  # the kernel gives clients' ends from here on
BENTOML = Path(sys.executable).with_name("bentoml")


def free_port() -> int:
    """A loopback port that nothing listens on, and that no connection is given before something does."""
    while True:
        port = FIRST_PORT + secrets.randbelow(FIRST_EPHEMERAL_PORT - FIRST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def require(tool: str) -> str:
    """Return where a tool is; skip the test where it is not installed, and fail it in CI, which installs all."""
    path = shutil.which(tool)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is not installed")
        pytest.skip(f"{tool} is not installed")
    return path


@dataclass
class Server:
    """A running server: its address, its processes and what it has logged."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def client(self, **options: object) -> httpx2.Client:
        """A client with the server's base URL; it loads no certificates, which takes longer than a request."""
        return httpx2.Client(base_url=self.url, timeout=20, verify=False, **options)  # type: ignore[arg-type]

    def workers(self) -> list[int]:
        """Process ids of the workers: the arbiter's children that import the service."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "_bentoml_impl.worker.service"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in found.stdout.split()]

    def wait_ready(self, within_s: float = 30) -> float:
        """Wait until `/readyz` is 200 and return how long that took; fails with the log if it does not come."""
        began = time.monotonic()
        with self.client() as client:
            while time.monotonic() - began < within_s:
                if self.process.poll() is not None:
                    break
                with contextlib.suppress(httpx2.TransportError):
                    if client.get("/readyz").status_code == 200:
                        return time.monotonic() - began
                time.sleep(0.05)
        raise RuntimeError(f"not ready within {within_s} s; its log:\n{self.log.read_text()}")

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


def start(folder: Path, *arguments: str, **settings: object) -> Server:
    """Start `bentoml serve` from the repository's root with settings such as `max_batch_size=8`.

    No settings are *port*, *host*, and *under*: words of a command that runs it, and becomes it, as `env` does.
    """
    under = cast("Sequence[str]", settings.pop("under", ()))
    port, host = int(str(settings.pop("port", 0))) or free_port(), str(settings.pop("host", "127.0.0.1"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
    environ |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml")}
    environ |= {"XDG_STATE_HOME": str(folder / "state")}
    environ |= {f"CONVSERVE_{name.upper()}": str(value) for name, value in settings.items()}
    log = folder / f"server-{port}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*under, BENTOML, "serve", *arguments, "--host", host, "--port", str(port)],
            cwd=ROOT,
            env=environ,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(process, port, log, "https" if "tls_certificate" in settings else "http")


@contextlib.contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Server]:
    """A server that is ready; without a drain delay unless one is asked for, so that tests end quickly.

    *ready_within_s* is no setting: large networks take longer than the 30 s that others have.
    """
    ready_within_s = float(str(settings.pop("ready_within_s", 30)))
    server = start(folder, **{"drain_delay_s": 0, **settings})
    try:
        server.wait_ready(ready_within_s)
        yield server
    finally:
        server.stop()
