"""What every case of the fault suite is held against: before and after, the server must be the same.

`Site.fault()` wraps a case. When it ends, the next valid request gets the right class, `/livez` is 200, nothing is in
flight or queued, exactly the named counters rose by exactly so much, the log holds no traceback, and the worker's
memory has not grown by more than its bound.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.server import Server, serving
from tests.factories import REPOSITORY, shipped_digit
from tests.faults.probe import put_probe

MIB = 2**20
COUNTED = ("classifier_rejected_total", "classifier_cancelled_total", "classifier_internal_errors_total")
SETTLES_S = 10.0


class Site:
    """A server under fault, and what is known of it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = server.client()
        (self.worker,) = server.workers()
        self._digit, self._class_id = shipped_digit()

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics."""
        return samples(self.client.get("/metrics").text)

    def classify(self, data: bytes, query: str = "", **options: Any) -> httpx2.Response:
        """POST one image."""
        return self.client.post(f"/v1/classify{query}", content=data, **options)

    def rss_bytes(self) -> int:
        """Resident memory of the worker."""
        return rss_bytes(self.worker)

    def require_right_answer(self) -> None:
        """The next valid request is answered, and rightly."""
        answer = self.classify(self._digit)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"][0]["class_id"] == self._class_id

    @contextlib.contextmanager
    def fault(
        self,
        rejected: dict[str, int] | None = None,
        cancelled: dict[str, int] | None = None,
        internal: dict[str, int] | None = None,
        *,
        grows_bytes: int = 8 * MIB,
        traceback: bool = False,
    ) -> Iterator[None]:
        """Hold a case to the contract; the counters are given by reason or stage."""
        self.require_right_answer()
        before, logged = self.metrics(), self.server.log.stat().st_size
        with bounded_memory(self.worker, grows_bytes):
            yield
            self.require_right_answer()
            self._require_as_before(before, rejected, cancelled, internal)
        with self.server.log.open() as log:
            log.seek(logged)
            written = log.read()
        assert traceback or not re.search(r'Traceback|"exception"', written), written[:5_000]

    def _require_as_before(
        self,
        before: dict[str, float],
        rejected: dict[str, int] | None,
        cancelled: dict[str, int] | None,
        internal: dict[str, int] | None,
    ) -> None:
        assert self.client.get("/livez").status_code == 200
        expected = {
            f'{family}{{{label}="{value}"}}': count
            for family, label, counts in (
                (COUNTED[0], "reason", rejected),
                (COUNTED[1], "stage", cancelled),
                (COUNTED[2], "stage", internal),
            )
            for value, count in (counts or {}).items()
        }
        settled(lambda: self._rose(before), expected)
        settled(lambda: self._busy(self.metrics()), {})

    def _rose(self, before: dict[str, float]) -> dict[str, float]:
        now = self.metrics()
        counted = [name for name in now if name.startswith(COUNTED)]
        return {name: now[name] - before[name] for name in counted if now[name] != before[name]}

    def _busy(self, now: dict[str, float]) -> dict[str, float]:
        idle = {"classifier_requests_in_flight": 1.0}  # the scrape itself
        gauges = ("classifier_requests_in_flight", "classifier_queue_depth")
        return {name: value for name, value in now.items() if name.startswith(gauges) and value != idle.get(name, 0.0)}


def settled(read: Callable[[], Any], expected: Any) -> None:
    """Wait for a value; counters follow an answer, they do not come before it."""
    deadline = time.monotonic() + SETTLES_S
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert found == expected, f"{found} instead of {expected}"


def samples(text: str) -> dict[str, float]:
    """The samples of Prometheus' text format."""
    return {name: float(value) for name, value in re.findall(r"^([^#\s].*) (\S+)$", text, re.MULTILINE)}


def cpu_s(pid: int) -> float:
    """Processor time that a process has used: what a case costs, however busy the machine is."""
    return time.clock_gettime((~pid << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def least_cpu_s(pid: int, action: Callable[[], object], tries: int = 3) -> float:
    """What an action costs a process at best: a collection of garbage, or a scrape, is not part of it."""
    used = []
    for _ in range(tries):
        before = cpu_s(pid)
        action()
        used.append(cpu_s(pid) - before)
    return min(used)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def bounded_memory(pid: int, grows_bytes: int) -> Iterator[None]:
    """Fail when the resident memory of a process has grown by more when the block ends."""
    before = rss_bytes(pid)
    yield
    grown = rss_bytes(pid) - before
    assert grown <= grows_bytes, f"{grown / MIB:.1f} MiB more, the bound is {grows_bytes / MIB:g}"


def make_store(folder: Path, golden_turns: int = 0) -> Path:
    """The model that ships, and the one whose faults the image chooses, which takes so many turns to load."""
    store = folder / "store"
    shutil.copytree(REPOSITORY, store)
    put_probe(store, golden_turns)
    return store


@contextlib.contextmanager
def site(folder: Path, **settings: object) -> Iterator[Site]:
    """A server with both models and the limits of the suite: small, so that tests reach them soon."""
    defaults = {
        "model_store": make_store(folder),
        "default_model": "lenet",
        "threads": 2,  # a device thread, as for every model that is not tiny
        "body_timeout_s": 1,
        "header_timeout_s": 2,
        "queue_capacity": 64,
        "max_queue_ms": 3_600_000,  # the bound in images is what most cases are about
        "request_timeout_s": 3_600,
    }
    with serving(folder, **{**defaults, **settings}) as server:
        made = Site(server)
        with made.client:
            yield made
