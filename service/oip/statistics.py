"""The statistics extension: what each model has done, for all workers together.

Source: Triton's extension_statistics.md. `inference_stats` counts requests of this protocol, both faces alike;
`inference_count`, `execution_count` and `batch_stats` count whatever the model ran, from `/v1/classify` too. The
numbers lie with the metrics, in files that every worker can read.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from service.families import OIP_LAST, OIP_REQUESTS, RUNS
from service.metrics import Counter, Metrics

_PARTS: Final = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_NS: Final = 10**9
Merged = Mapping[tuple[str, ...], tuple[float, ...]]


class _Counters(NamedTuple):
    """The series of one version: counts with seconds, and when it was asked last."""

    success: tuple[tuple[Counter, Counter], ...]  # the parts of an answered request
    fail: tuple[Counter, Counter]
    last: Counter


class Statistics:
    """Counts the requests of this worker and tells of those of all."""

    def __init__(self, metrics: Callable[[], Metrics], clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._counters: dict[tuple[str, int], _Counters] = {}

    def success(self, name: str, version: int, seconds: tuple[float, float, float, float, float]) -> None:
        """Count an answered request: in all, in the queue, decoding, inferring, encoding the answer."""
        counters = self._of(name, version)
        for (count, total), taken in zip(counters.success, seconds, strict=True):
            count.add()
            total.add(taken)
        counters.last.set(round(self._clock() * 1000))

    def fail(self, name: str, version: int, seconds: float) -> None:
        """Count a request that was refused or failed."""
        count, total = self._of(name, version).fail
        count.add()
        total.add(seconds)

    def read(self) -> Callable[[str, int], dict[str, Any]]:
        """Read the numbers of all workers once; takes milliseconds. Returns what describes one model of them."""
        merged = self._metrics().merged()
        return lambda name, version: _describe(name, str(version), merged)

    def _of(self, name: str, version: int) -> _Counters:
        counters = self._counters.get((name, version))
        if counters is None:
            counters = self._counters[name, version] = _counters(self._metrics(), name, str(version))
        return counters


def _counters(metrics: Metrics, name: str, version: str) -> _Counters:
    def pair(part: str) -> tuple[Counter, Counter]:
        count, seconds = (metrics.series(OIP_REQUESTS, name, version, part, what) for what in ("count", "s"))
        return count, seconds

    success = tuple(pair(part) for part in _PARTS if part != "fail")
    return _Counters(success, pair("fail"), metrics.series(OIP_LAST, name, version))


def _describe(name: str, version: str, merged: Mapping[str, Merged]) -> dict[str, Any]:
    requests, runs = merged.get(OIP_REQUESTS.name, {}), merged.get(RUNS.name, {})

    def duration(part: str) -> dict[str, int]:
        count, seconds = (requests.get((name, version, part, what), (0.0,))[0] for what in ("count", "s"))
        return {"count": int(count), "ns": round(seconds * _NS)}

    counts = {size: int(runs[name, version, str(size), "count"][0]) for size in _sizes(runs, name, version)}
    batches = []
    for size, count in counts.items():
        nothing = {"count": count, "ns": 0}  # images are prepared, and answers made, request by request
        infer = {"count": count, "ns": round(runs[name, version, str(size), "s"][0] * _NS)}
        batches.append(
            {"batch_size": size, "compute_input": nothing, "compute_infer": infer, "compute_output": nothing}
        )
    return {
        "name": name,
        "version": version,
        "last_inference": int(merged.get(OIP_LAST.name, {}).get((name, version), (0.0,))[0]),
        "inference_count": sum(size * count for size, count in counts.items()),
        "execution_count": sum(counts.values()),
        "inference_stats": {
            **{part: duration(part) for part in _PARTS},
            **{part: {"count": 0, "ns": 0} for part in ("cache_hit", "cache_miss")},
        },
        "response_stats": {},
        "batch_stats": batches,
        "memory_usage": [],
    }


def _sizes(runs: Merged, name: str, version: str) -> list[int]:
    return sorted({int(labels[2]) for labels in runs if labels[:2] == (name, version)})
