"""More than the peak: goodput, what the admitted wait, what a refusal costs, how soon it is over.

A tenth of the clients hang up before they are answered, and a tenth says that time is short, at any load, the peak's
too: what is good is good answers to those who stay. Nothing may be run for those who left while it waited, or whose
time was over by then; that is the difference between what was run and what is known to have been begun for somebody.

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
from benchmarks.overload.site import STAY, Target

_SEARCH = (0.85, 0.95, 1.05, 1.2, 1.4)  # of the closed-loop guess: open-loop steps among which the peak is
_CLIENTS = 250  # addresses: nobody has more than his share, and all together have too much
_RECOVERY_S = 6.0
_SETTLES_S = 3.0  # counters follow an answer
_WINDOW_S = 2.0  # that a p99 is taken over
_STRIDE_S = 0.25
_STAGES = ("read", "decode", "queue", "inference", "respond")
_ANSWERED = 'classifier_http_requests_total{code="200",method="POST",route="/v1/classify"}'
_PROBE = "127.0.0.250"
_LOADS = (0.5, 0.9)  # of the peak: what is normal, and what is nearly too much


class _Bench:
    """A target, the clients that ask it, and the seed of the next step."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.clients = target.clients(_CLIENTS, first=250)
        self._send = [client.send for client in self.clients]
        self._seed = 0

    async def offer(self, rate: float, seconds: float) -> Step:
        """Offer a load: so many requests a second of clients who stay, and those of the others."""
        self._seed += 1
        target = self.target
        return await openloop.run(
            self._send, target.mixed_manners(), target.is_right, rate=rate / STAY, seconds=seconds, seed=self._seed
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
    watching = asyncio.create_task(_served_again(bench.target))
    after = await bench.offer(0.5 * peak, _RECOVERY_S)
    served_again_s = await watching
    return {
        "step": step,
        "served_again_s": served_again_s,
        "recovery_s": _recovery_s(after, served_again_s, 1.1 * normal_ms),
        "truth": await _truth(bench.target, before, Step.joined([step, after])),
    }


def _summary(surges: list[dict[str, Any]], nearly: dict[str, float] | None) -> dict[str, Any]:
    """Return the figures of the surges of all rounds; the worst recovery, the sums of what was run and left."""
    summary = _together([surge["step"] for surge in surges])
    goodputs = [round(surge["goodput"], 3) for surge in surges]
    summary["goodput"], summary["goodputs"] = median(goodputs), goodputs
    summary["good_p99_ratio"] = _ratio(summary["good_ms"], nearly)
    for name in ("recovery_s", "served_again_s"):
        times = [surge[name] for surge in surges]
        summary[name], summary[f"all_{name}"] = None if None in times else max(times), times
    truths = [surge["truth"] for surge in surges]
    return summary | {name: sum(truth[name] for truth in truths) for name in truths[0]}


def _together(steps: list[Step]) -> dict[str, Any]:
    """Return the figures of steps as if they were one after the other."""
    return Step.joined(steps).summary()


def _good(step: Step) -> float:
    good: float = step.summary()["good_per_s"]
    return good


def _recovery_s(after: Step, served_again_s: float | None, p99_ms: float) -> float | None:
    """Return after how long nothing was queued and a window's p99 is at most so long."""
    for start in np.arange(0.0, _RECOVERY_S - _WINDOW_S, _STRIDE_S):
        if served_again_s is not None and _p99_ms(after, float(start)) <= p99_ms:
            return round(max(float(start), served_again_s), 2)
    return None


def _worst_window_ms(steps: list[Step]) -> float:
    """Return the highest p99 of any window of steps under normal load, which is then what is normal."""
    starts = [(step, float(at)) for step in steps for at in np.arange(0.0, step.seconds - _WINDOW_S / 2, _STRIDE_S)]
    return max(_p99_ms(step, start) for step, start in starts)


def _p99_ms(step: Step, start: float) -> float:
    window = percentiles([one.took_s for one in step.records if start <= one.at_s < start + _WINDOW_S])
    return window["p99"] if window else 0.0


async def _watch_queue(target: Target) -> None:
    """Wait until nothing is queued any more."""
    probe, ends_at = Client(target.port, _PROBE), perf_counter() + _RECOVERY_S
    while await _queued(probe) and perf_counter() < ends_at:  # noqa: ASYNC110 (it is another process that goes on)
        await asyncio.sleep(0.1)
    probe.close()


async def _served_again(target: Target) -> float | None:
    """Return after how long the queue was empty once and then a newcomer was answered rightly, None if not in time."""
    began, probe, number = perf_counter(), Client(target.port, _PROBE), 0
    empty, served = False, False
    while not served and perf_counter() - began < _RECOVERY_S:
        empty = empty or not await _queued(probe)
        served = empty and target.is_right(number, await probe.send(target.requests()[number]))
        if not served:
            await asyncio.sleep(0.05)
    probe.close()
    return round(perf_counter() - began, 2) if served else None


async def _queued(probe: Client) -> float:
    text = (await probe.send(get("/metrics"))).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("classifier_queue_depth"))


async def _truth(target: Target, before: dict[str, float], step: Step) -> dict[str, int]:
    """Return what became of those who did not stay, as the server counts it, and how many images were run in vain.

    Begun in time are those that were answered, those whose client left while they ran or before it was told, and those
    whose time passed at the device, of which their clients were told. Who leaves the queue is counted apart, and is
    never run.
    """
    at_device = sum(one.code == "deadline at the device" for one in step.records)
    ends_at = perf_counter() + _SETTLES_S
    while True:
        after = target.metrics()
        rose = {name: int(value - before.get(name, 0.0)) for name, value in after.items()}
        left = {stage: rose[f'classifier_cancelled_total{{stage="{stage}"}}'] for stage in _STAGES}
        answered = rose[_ANSWERED]
        run = sum(rose[name] for name in rose if name.startswith("classifier_images_total"))
        in_vain = run - answered - left["inference"] - left["respond"] - at_device
        if in_vain == 0 or perf_counter() > ends_at:
            break
        await asyncio.sleep(0.1)
    return {
        "run": run,
        "run_in_vain": in_vain,
        **{f"left_in_{stage}": count for stage, count in left.items()},
        "time_over_in_queue": sum(one.code == "deadline" for one in step.records),
        "time_over_at_device": at_device,
    }


def _ratio(one: dict[str, float] | None, other: dict[str, float] | None) -> float | None:
    return round(one["p99"] / other["p99"], 2) if one and other else None
