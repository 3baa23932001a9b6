"""More than the peak: goodput, what the admitted wait, what a refusal costs, how soon it is over.

The machine's pace changes from minute to minute, so the peak is measured again before and after each surge: a ratio is
to the mean of the two, and the median of the rounds' is given. Times are of all rounds together.
"""

import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.overload import openloop
from benchmarks.overload.client import Client, get
from benchmarks.overload.openloop import Step, percentiles
from benchmarks.overload.site import Target

_SEARCH = (0.85, 0.95, 1.05, 1.2, 1.4)  # of the closed-loop guess: open-loop steps among which the peak is
_RECOVERY_S = 6.0
_WINDOW_S = 2.0  # that a p99 is taken over
_STRIDE_S = 0.25
_LOADS = (0.5, 0.9)  # of the peak: what is normal, and what is nearly too much


class _Bench:
    """A target, the clients that ask it, and the seed of the next step."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.clients = target.clients()
        self._send = [client.send for client in self.clients]
        self._seed = 0

    async def offer(self, rate: float, seconds: float) -> Step:
        """Offer a load."""
        self._seed += 1
        target = self.target
        return await openloop.run(
            self._send, target.requests(), target.is_right, rate=rate, seconds=seconds, seed=self._seed
        )

    async def peak(self, rates: Sequence[float], seconds: float) -> tuple[float, float]:
        """Return the most good answers a second that one of these rates gives, and that rate."""
        found = []
        for rate in rates:
            found.append((_good(await self.offer(rate, seconds)), rate))
            await _watch_queue(self.target)
        return max(found)


async def measure(
    target: Target, *, seconds: float, factors: tuple[float, ...] = (2, 4, 10), rounds: int = 1
) -> dict[str, Any]:
    """Find the peak, then offer parts of it and more than it, round by round; return all figures."""
    bench = _Bench(target)
    guess = await openloop.closed(bench.clients, target.requests(), connections=32, seconds=min(6.0, seconds))
    _, at = await bench.peak([share * guess for share in _SEARCH], seconds / 2)
    peaks: list[float] = []
    steps: dict[str, list[Step]] = {f"at {load:g}": [] for load in _LOADS}
    surges: dict[str, list[dict[str, Any]]] = {f"{factor:g}x": [] for factor in factors}
    rates = (0.9 * at, 1.1 * at)
    for _ in range(rounds):
        peak, _ = await bench.peak(rates, seconds / 2)
        for load in _LOADS:
            steps[f"at {load:g}"].append(await bench.offer(load * peak, seconds))
            await _watch_queue(target)
        normal = _worst_window_ms(steps[f"at {_LOADS[0]:g}"])
        peaks.append(peak)
        for factor in factors:
            surge = await _surge(bench, factor, peaks[-1], seconds, normal)
            peak, _ = await bench.peak(rates, seconds / 2)
            surge["goodput"] = _good(surge["step"]) / ((peaks[-1] + peak) / 2)
            peaks.append(peak)
            surges[f"{factor:g}x"].append(surge)
    for client in bench.clients:
        client.close()
    calm = {name: _together(of) for name, of in steps.items()}
    nearly = calm[f"at {_LOADS[-1]:g}"]["good_ms"]
    overload = {name: _summary(of, nearly) for name, of in surges.items()}
    return {"peak_per_s": median(peaks), "peaks_per_s": peaks, **calm, "overload": overload}


async def _surge(bench: _Bench, factor: float, peak: float, seconds: float, normal_ms: float) -> dict[str, Any]:
    """Offer so many times the peak, then half of it, and wait until that takes no longer than *normal_ms*."""
    before = bench.target.metrics()
    step = await bench.offer(factor * peak, seconds)
    recovery_s = await _recovery(bench, 0.5 * peak, 1.1 * normal_ms)
    in_vain = _run_in_vain(before, bench.target.metrics())
    return {"step": step, "recovery_s": recovery_s, "run_in_vain": in_vain}


def _summary(surges: list[dict[str, Any]], nearly: dict[str, float] | None) -> dict[str, Any]:
    """Return the figures of the surges of all rounds; the worst recovery, the sum of what was run in vain."""
    summary = _together([surge["step"] for surge in surges])
    goodputs = [round(surge["goodput"], 3) for surge in surges]
    recoveries = [surge["recovery_s"] for surge in surges]
    summary["goodput"], summary["goodputs"] = median(goodputs), goodputs
    summary["good_p99_ratio"] = _ratio(summary["good_ms"], nearly)
    summary["recovery_s"], summary["recoveries_s"] = None if None in recoveries else max(recoveries), recoveries
    summary["run_in_vain"] = sum(surge["run_in_vain"] for surge in surges)
    return summary


def _together(steps: list[Step]) -> dict[str, Any]:
    """Return the figures of steps as if they were one after the other."""
    return Step.joined(steps).summary()


def _good(step: Step) -> float:
    good: float = step.summary()["good_per_s"]
    return good


async def _recovery(bench: _Bench, rate: float, p99_ms: float) -> float | None:
    """Return after how long at a lower rate nothing is queued and a window's p99 is at most so long."""
    watching = asyncio.create_task(_watch_queue(bench.target))
    step = await bench.offer(rate, _RECOVERY_S)
    empty_after_s = await watching
    for start in np.arange(0.0, _RECOVERY_S - _WINDOW_S, _STRIDE_S):
        if _p99_ms(step, float(start)) <= p99_ms:
            return round(max(float(start), empty_after_s), 2)
    return None


def _worst_window_ms(steps: list[Step]) -> float:
    """Return the highest p99 of any window of steps under normal load, which is then what is normal."""
    starts = [(step, float(at)) for step in steps for at in np.arange(0.0, step.seconds - _WINDOW_S / 2, _STRIDE_S)]
    return max(_p99_ms(step, start) for step, start in starts)


def _p99_ms(step: Step, start: float) -> float:
    window = percentiles([one.took_s for one in step.records if start <= one.at_s < start + _WINDOW_S])
    return window["p99"] if window else 0.0


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
