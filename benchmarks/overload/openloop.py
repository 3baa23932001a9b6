"""Open-loop load: requests leave when the schedule says, however long the answers take, and their time counts from when
they should have left: neither a slow server nor a slow generator makes the figures look better (coordinated omission).
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.overload.client import LEFT, Answer, Client, Request

Send = Callable[[Request], Coroutine[Any, Any, Answer]]
Check = Callable[[int, Answer], bool]  # number of the request, its answer → whether that is right


@dataclass(slots=True)
class Record:
    """One request: when it should have left (from the start of the step), how long it took, what came."""

    at_s: float
    took_s: float
    status: int
    code: str
    right: bool


@dataclass(slots=True)
class Step:
    """A stretch of load and all that came of it."""

    rate: float
    seconds: float
    records: list[Record] = field(default_factory=list)
    late_s: float = 0.0  # how far behind its schedule the generator was at worst

    @classmethod
    def joined(cls, steps: Sequence["Step"]) -> "Step":
        """Return steps as if each had followed the one before."""
        whole = cls(sum(step.rate for step in steps) / len(steps), 0.0)
        for step in steps:
            whole.records += [replace(one, at_s=whole.seconds + one.at_s) for one in step.records]
            whole.seconds += step.seconds
            whole.late_s = max(whole.late_s, step.late_s)
        return whole

    def summary(self) -> dict[str, Any]:
        """Return the figures of the step; who left is neither a success nor a failure."""
        stayed = [one for one in self.records if one.status != LEFT]
        good = [one for one in self.records if one.status == 200 and one.right]
        refused = [one for one in self.records if one.status in (429, 503)]
        in_time = [one for one in good if one.at_s + one.took_s <= self.seconds]
        return {
            "offered_per_s": round(len(self.records) / self.seconds, 1),
            "requests": len(self.records),
            "good_per_s": round(len(in_time) / self.seconds, 1),
            "left": len(self.records) - len(stayed),
            "success": round(len(good) / max(1, len(stayed)), 6),
            "wrong": sum(one.status == 200 and not one.right for one in self.records),
            "codes": dict(Counter(one.code for one in stayed if one.status != 200)),
            "good_ms": percentiles([one.took_s for one in good]),
            "refused_ms": percentiles([one.took_s for one in refused]),
            "generator_late_ms": round(self.late_s * 1e3, 2),
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return median, p99 and the longest, in milliseconds."""
    if not seconds:
        return None
    values = np.asarray(seconds) * 1e3
    return {name: round(float(np.percentile(values, q)), 3) for name, q in (("p50", 50), ("p99", 99), ("max", 100))}


async def run(
    send: Sequence[Send], requests: Sequence[Request], check: Check, *, rate: float, seconds: float, seed: int = 0
) -> Step:
    """Offer *rate* requests a second for so long, as a Poisson process; senders take turns, and so do *requests*."""
    step, chance, tasks = Step(rate, seconds), random.Random(seed), set()  # noqa: S311 (a schedule, no secret)
    began, at_s, number = perf_counter(), 0.0, 0

    async def one(number: int, at_s: float) -> None:
        answer = await send[number % len(send)](requests[number % len(requests)])
        took_s = perf_counter() - began - at_s
        code = "" if answer.status == 200 else answer.code
        step.records.append(Record(at_s, took_s, answer.status, code, check(number, answer)))

    while (at_s := at_s + chance.expovariate(rate)) < seconds:
        ahead_s = at_s - (perf_counter() - began)
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        elif number % 50 == 0:
            await asyncio.sleep(0)  # behind: let answers in all the same
        step.late_s = max(step.late_s, perf_counter() - began - at_s)
        task = asyncio.create_task(one(number, at_s))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
    if tasks:
        await asyncio.wait(tasks)
    return step


async def closed(clients: Sequence[Client], requests: Sequence[Request], *, connections: int, seconds: float) -> float:
    """Return the answers a second of so many connections that each wait for their answer: a first guess of the peak."""
    answered, ends_at = 0, perf_counter() + seconds

    async def ask(number: int) -> None:
        nonlocal answered
        while perf_counter() < ends_at:
            answer = await clients[number % len(clients)].send(requests[number % len(requests)])
            if answer.status == 200:
                answered += 1
            else:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(ask(number) for number in range(connections)))
    return answered / seconds
