"""What one worker counts: on the way of a request a metric is an index into `SharedValues` and an addition.

Series are made from closed sets only: routes of the table, methods and codes that are known, names of models that were
loaded. Nothing that a client sends becomes a label. The names are in families.py, the text in exposition.py.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from service import exposition
from service.errors import STATUS
from service.exposition import Merged
from service.families import (
    BATCH_SIZE,
    CANCELLED,
    DISPATCHES,
    DURATION,
    IMAGES,
    IN_FLIGHT,
    INPUT_PIXELS,
    INTERNAL_ERRORS,
    MODEL_INFO,
    MODEL_LOADS,
    QUEUE_DEPTH,
    READY,
    REJECTED,
    REQUESTS,
    RUNS,
    SECONDS,
    STAGE,
    STAGES,
    WORKERS,
    Family,
)
from service.http import OTHER, Route, Timings
from service.observer import Reason
from service.shared_values import SharedValues

_SUM = len(SECONDS) + 1  # where the sum of a histogram over SECONDS lies, from its index
T = TypeVar("T")
OTHER_METHOD = "_OTHER"
OUR_FAULTS = tuple(sorted({status for status in STATUS.values() if status >= 500 and status != 501}))
NO_REJECTION = frozenset({"internal"})  # counted as internal errors: the client did nothing that was refused


class Counter:
    """One counter or gauge series."""

    __slots__ = ("_shared", "index")

    def __init__(self, shared: SharedValues, family: Family, *labels: str) -> None:
        self._shared = shared
        self.index = shared.allocate(family.name, labels)

    def add(self, amount: float = 1.0) -> None:
        """Add *amount*, which is negative only for gauges."""
        self._shared.values[self.index] += amount

    def set(self, value: float) -> None:
        """Set a gauge."""
        self._shared.values[self.index] = value


class Histogram:
    """One histogram series: counts per bucket, the one above all edges, and the sum."""

    __slots__ = ("_edges", "_shared", "_sum", "index")

    def __init__(self, shared: SharedValues, family: Family, *labels: str) -> None:
        self._shared = shared
        self._edges = family.edges
        self.index = shared.allocate(family.name, labels, len(family.edges) + 2)
        self._sum = self.index + len(family.edges) + 1

    def observe(self, value: float) -> None:
        """Count *value*; a bucket holds what is not above its edge."""
        values = self._shared.values
        values[self.index + bisect_left(self._edges, value)] += 1.0
        values[self._sum] += value


class Block:
    """The numbers of one series that is several: classes, bins, or a histogram with its sum."""

    __slots__ = ("_count", "_shared", "index")

    def __init__(self, shared: SharedValues, family: Family, labels: tuple[str, ...], count: int) -> None:
        self._shared = shared
        self._count = count
        self.index = shared.allocate(family.name, labels, count)

    def all(self) -> "memoryview[float]":
        """Return the numbers of all series, of which this one's begin at `index`; not to be kept."""
        return self._shared.values

    def values(self) -> Sequence[float]:
        """Return the numbers."""
        return self._shared.values[self.index : self.index + self._count].tolist()

    def set(self, values: Iterable[float]) -> None:
        """Set all of them."""
        for i, value in enumerate(values, self.index):
            self._shared.values[i] = value

    def add(self, amounts: Sequence[float]) -> None:
        """Add to each of them."""
        for i, amount in enumerate(amounts, self.index):
            if amount:
                self._shared.values[i] += amount


class ModelMetrics:
    """The series of one served model."""

    def __init__(self, shared: SharedValues, name: str, version: int) -> None:
        self._shared = shared
        self._labels = labels = (name, str(version))
        self._runs: dict[int, tuple[Counter, Counter]] = {}
        self.images = Counter(shared, IMAGES, *labels)
        self.batch_size = Histogram(shared, BATCH_SIZE, *labels)
        self.queue_depth = Counter(shared, QUEUE_DEPTH, *labels)
        self.dispatches = {reason: Counter(shared, DISPATCHES, *labels, reason) for reason in get_args(Reason)}

    def ran(self, size: int, seconds: float) -> None:
        """Count a batch that was answered."""
        self.images.add(size)
        self.batch_size.observe(size)
        runs = self._runs.get(size)
        if runs is None:
            labels = (*self._labels, str(size))
            runs = self._runs[size] = (
                Counter(self._shared, RUNS, *labels, "count"),
                Counter(self._shared, RUNS, *labels, "s"),
            )
        runs[0].add()
        runs[1].add(seconds)


class Metrics:
    """Every series of one worker."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._shared = SharedValues()
        shared = self._shared
        methods = {route.template: {*route.handlers, OTHER_METHOD} for route in routes} | {OTHER: {OTHER_METHOD}}
        self._methods = methods
        self._requests = {  # at 0 from the start what rates are taken of: a series that begins at 1 has no increase
            (route, method, status): Counter(shared, REQUESTS, route, method, str(status))
            for route in methods
            for method in methods[route]
            if route != OTHER and method != OTHER_METHOD
            for status in (200, *OUR_FAULTS)
        }
        self._durations = {route: Histogram(shared, DURATION, route) for route in methods}
        self._stages = tuple(Histogram(shared, STAGE, stage).index for stage in STAGES)
        self._rejected = {code: Counter(shared, REJECTED, code) for code in STATUS if code not in NO_REJECTION}
        self.internal_errors = {stage: Counter(shared, INTERNAL_ERRORS, stage) for stage in ("request", "inference")}
        self.cancelled = {stage: Counter(shared, CANCELLED, stage) for stage in STAGES}
        self.in_flight = Counter(shared, IN_FLIGHT)
        self.input_pixels = Histogram(shared, INPUT_PIXELS)
        self._made: dict[tuple[object, ...], Any] = {}  # series that live on when what they speak of is loaded again
        self.ready = Counter(shared, READY)
        self._workers = Counter(shared, WORKERS)

    def start(self, folder: Path) -> int:
        """Share the numbers with the other workers of the server, through files in *folder*; return how many live."""
        self._workers.set(1)
        return self._shared.start(folder, keeps=exposition.outlives)

    def model(self, name: str, version: int) -> ModelMetrics:
        """Return the series of a version that was loaded, made when it is loaded first."""
        return self._once(("model", name, version), lambda: ModelMetrics(self._shared, name, version))

    def model_info(self, name: str, version: int, precision: str, provider: str, sha256: str) -> Counter:
        """Return the info series of what is served, to which each use of it adds 1."""
        labels = (name, str(version), precision, provider, sha256)
        return self._once(labels, lambda: Counter(self._shared, MODEL_INFO, *labels))

    def model_load(self, name: str, outcome: str) -> None:
        """Count one try to load a version of a model that the store has: loaded or rejected."""
        self._once(("load", name, outcome), lambda: Counter(self._shared, MODEL_LOADS, name, outcome)).add()

    def _once(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def series(self, family: Family, *labels: str) -> Counter:
        """Return the one series of *family* with these labels, made when it is asked for first."""
        return self._once((family.name, labels), lambda: Counter(self._shared, family, *labels))

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """Return the one histogram of *family* with these labels, made when it is asked for first."""
        return self._once((family.name, labels), lambda: Histogram(self._shared, family, *labels))

    def block(self, family: Family, labels: tuple[str, ...], count: int) -> Block:
        """Return the *count* numbers of *family* with these labels, made when they are asked for first."""
        return self._once((family.name, labels), lambda: Block(self._shared, family, labels, count))

    def merged(self) -> Merged:
        """Read the numbers of all workers, by family and labels; takes milliseconds, so call it in a thread."""
        return exposition.merge(self._shared.read())

    def request(  # noqa: PLR0917 (an object for it would cost more than the counting)
        self, route: str, method: str, status: int, started: float, ended: float, timings: Timings | None = None
    ) -> None:
        """Count an answered request; *route* is a template of the table or `OTHER`.

        Of a classified one, also where its *timings* say that the time went: written out, a third cheaper than a loop.
        """
        key = (route, method if method in self._methods[route] else OTHER_METHOD, status)
        counter = self._requests.get(key)
        if counter is None:
            counter = self._requests[key] = Counter(self._shared, REQUESTS, key[0], key[1], str(status))
        values, at = self._shared.values, self._durations[route].index
        values[counter.index] += 1.0
        values[at + bisect_left(SECONDS, ended - started)] += 1.0
        values[at + _SUM] += ended - started
        if timings is None:
            return
        at_read, at_decode, at_queue, at_inference, at_respond = self._stages
        read_s, decode_s, queue_s, inference_s, answered_at = timings
        values[at_read + bisect_left(SECONDS, read_s)] += 1.0
        values[at_read + _SUM] += read_s
        values[at_decode + bisect_left(SECONDS, decode_s)] += 1.0
        values[at_decode + _SUM] += decode_s
        values[at_queue + bisect_left(SECONDS, queue_s)] += 1.0
        values[at_queue + _SUM] += queue_s
        values[at_inference + bisect_left(SECONDS, inference_s)] += 1.0
        values[at_inference + _SUM] += inference_s
        values[at_respond + bisect_left(SECONDS, ended - answered_at)] += 1.0
        values[at_respond + _SUM] += ended - answered_at

    def reject(self, code: str) -> None:
        """Count a refused request or image by its error code."""
        if code in self._rejected:
            self._rejected[code].add()

    def render(self) -> bytes:
        """Return the state of all workers in Prometheus' text format; takes milliseconds, so call it in a thread."""
        return exposition.text(self._shared.read())
