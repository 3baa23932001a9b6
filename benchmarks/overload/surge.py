"""More than the peak: goodput, what the admitted wait, what a refusal costs, how soon it is over."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.overload import openloop
from benchmarks.overload.client import Client, get
from benchmarks.overload.site import Target

_SEARCH = (0.85, 0.95, 1.05, 1.2, 1.4)  # of the closed-loop guess: open-loop steps among which the peak is
_RECOVERY_S = 12.0
_WINDOW_S = 0.25


async def measure(target: Target, *, seconds: float, factors: tuple[float, ...] = (2, 4, 10)) -> dict[str, Any]:
    """Find the peak, then offer 0.9 of it and more than it; return all figures."""
    clients = target.clients()
    requests, send = target.requests(), [client.send for client in clients]

    async def offer(rate: float, seconds: float, seed: int = 0) -> openloop.Step:
        step = await openloop.run(send, requests, target.is_right, rate=rate, seconds=seconds, seed=seed)
        await _watch_queue(target)
        return step

    guess = await openloop.closed(clients, requests, connections=32, seconds=min(6.0, seconds))
    steps = {f"search {share:g}": (await offer(share * guess, seconds / 2)).summary() for share in _SEARCH}
    peak = max(step["good_per_s"] for step in steps.values())
    baseline = (await offer(0.9 * peak, seconds, 1)).summary()
    half = (await offer(0.5 * peak, seconds, 2)).summary()
    found: dict[str, Any] = {"peak_per_s": peak, "search": steps, "at 0.9": baseline, "at 0.5": half, "overload": {}}
    for factor in factors:
        before = target.metrics()
        step = await openloop.run(send, requests, target.is_right, rate=factor * peak, seconds=seconds, seed=3)
        surge = step.summary()
        surge["goodput"] = round(surge["good_per_s"] / peak, 3)
        surge["good_p99_ratio"] = _ratio(surge["good_ms"], baseline["good_ms"])
        surge["recovery_s"] = await _recovery(target, send, requests, 0.5 * peak, half["good_ms"]["p99"])
        surge["run_in_vain"] = _run_in_vain(before, target.metrics())
        found["overload"][f"{factor:g}x"] = surge
    for client in clients:
        client.close()
    return found


async def _recovery(
    target: Target, send: Sequence[openloop.Send], requests: Sequence[bytes], rate: float, p99_ms: float
) -> float | None:
    """Return after how long at a lower rate nothing is queued and the p99 is that of before, plus a tenth."""
    watching = asyncio.create_task(_watch_queue(target))
    step = await openloop.run(send, requests, target.is_right, rate=rate, seconds=_RECOVERY_S, seed=4)
    empty_after_s = await watching
    for start in np.arange(0.0, _RECOVERY_S - 2, _WINDOW_S):
        rest = [one.took_s * 1e3 for one in step.records if one.at_s >= start]
        if np.percentile(rest, 99) <= 1.1 * p99_ms:
            return round(max(float(start), empty_after_s), 2)
    return None


async def _watch_queue(target: Target) -> float:
    """Return when nothing was queued any more."""
    began, probe = perf_counter(), Client(target.port, "127.0.0.250")
    while perf_counter() - began < _RECOVERY_S:
        text = (await probe.send(get("/metrics"))).body.decode()
        lines = [line for line in text.splitlines() if line.startswith("classifier_queue_depth")]
        if not sum(float(line.split()[-1]) for line in lines):
            break
        await asyncio.sleep(0.1)
    probe.close()
    return perf_counter() - began


def _run_in_vain(before: dict[str, float], after: dict[str, float]) -> float:
    """Images that were run and answered nobody: those whose time was over, or whose client left, at the device."""

    def rose(start: str) -> float:
        return sum(after[name] - before.get(name, 0.0) for name in after if name.startswith(start))

    answered = rose('classifier_http_requests_total{code="200",method="POST",route="/v1/classify"}')
    return rose("classifier_images_total") - answered - rose('classifier_cancelled_total{stage="inference"}')


def _ratio(one: dict[str, float] | None, other: dict[str, float] | None) -> float | None:
    return round(one["p99"] / other["p99"], 2) if one and other else None
