"""Starts what is measured, each on a port of its own, and ends it."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.load import ROOT

BIN = Path(sys.executable).parent
_READY_S = 60
_FIRST_PORT, _FIRST_EPHEMERAL_PORT = 10_000, 32_768


@contextlib.contextmanager
def service(tree: Path = ROOT, **settings: object) -> Iterator[tuple[str, int]]:
    """Run the service of a tree under `bentoml serve`; yield its URL and its process id."""
    with _serving(tree, settings) as (url, pid):
        yield url, pid


@contextlib.contextmanager
def unmeasured() -> Iterator[tuple[str, int]]:
    """Run the service that counts nothing; yield its URL and its process id."""
    with _serving(ROOT, {"quality": False}, "benchmarks.unmeasured:Unmeasured") as (url, pid):
        yield url, pid


@contextlib.contextmanager
def stock() -> Iterator[str]:
    """Run stock BentoML with the same model; yield its URL."""
    port = _free_port()
    command = [str(BIN / "bentoml"), "serve", "benchmarks.stock:Stock", "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, ROOT, {}) as process:
        _wait(process, f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def ceiling() -> Iterator[str]:
    """Run the bare ASGI function; yield its URL."""
    port = _free_port()
    command = [str(BIN / "uvicorn"), "benchmarks.ceiling:app", "--port", str(port), "--lifespan", "off"]
    command += ["--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    with _running(command, ROOT, {}) as process:
        _wait(process, f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"


def worker_rss_bytes(arbiter: int) -> list[int]:
    """Resident memory of each worker of a server, from /proc."""
    page = os.sysconf("SC_PAGE_SIZE")
    return [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in _workers(arbiter)]


def worker_cpu_s(arbiter: int) -> float:
    """Processor time that the workers of a server have used, from /proc: to the hundredth of a second."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _workers(arbiter)]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def _workers(arbiter: int) -> list[str]:
    children = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()
    return [pid for pid in children if b"_bentoml_impl.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextlib.contextmanager
def _serving(tree: Path, settings: Mapping[str, object], *what: str) -> Iterator[tuple[str, int]]:
    port = _free_port()
    command = [str(BIN / "bentoml"), "serve", *what, "--host", "127.0.0.1", "--port", str(port)]
    environ = {f"CONVSERVE_{name.upper()}": str(value) for name, value in {"drain_delay_s": 0, **settings}.items()}
    with _running(command, tree, environ) as process:
        url = f"http://127.0.0.1:{port}"
        _wait(process, f"{url}/readyz")
        yield url, process.pid


@contextlib.contextmanager
def _running(command: list[str], tree: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        environ = {**inherited, "BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "True", **environ}
        log = Path(home) / "log"
        with log.open("wb") as sink:
            process = subprocess.Popen(command, cwd=tree, env=environ, stdout=sink, stderr=subprocess.STDOUT)
        try:
            yield process
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text()}") from error
        finally:
            process.terminate()
            process.wait(90)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (a loopback URL that we made)
                return
        except urllib.error.HTTPError as error:
            if error.code == 500:  # the ceiling answers an empty body like that, and is up
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not come up")


def _free_port() -> int:
    """Return one below those that the kernel gives to clients' ends, or a connection may have it before the server."""
    while True:
        port = _FIRST_PORT + secrets.randbelow(_FIRST_EPHEMERAL_PORT - _FIRST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
