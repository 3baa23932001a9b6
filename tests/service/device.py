"""A device that tests hold in their hand, and a batcher before it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import numpy as np

from service.admission import Claim, Priority, RoomLimits
from service.batcher import Batcher
from service.outputs import Answer, Outputs

LATER = 60.0  # seconds from now


class Device:
    """Answers each image with its own first pixel; holds every batch until `open` is set; remembers the batches."""

    def __init__(self, *, held: bool = False, fails: Callable[[list[int]], bool] = lambda _: False) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self._fails = fails
        if not held:
            self.open.set()

    def __call__(self, images: np.ndarray) -> Outputs:
        values: list[int] = images[:, 0, 0, 0].tolist()
        self.batches.append(values)
        self.entered.release()
        if not self.open.wait(10):
            raise TimeoutError("the test did not open the device")
        if self._fails(values):
            raise RuntimeError("the device is on fire")
        logits = images[:, 0, 0, :1].astype(np.float32)
        return Outputs(logits, logits)


class Seen:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.depths: list[int] = []
        self.batches: list[int] = []
        self.gone: list[str] = []
        self.failures: list[int] = []
        self.reasons: list[str] = []

    def depth(self, waiting: int) -> None:
        self.depths.append(waiting)

    def dispatched(self, reason: str) -> None:
        self.reasons.append(reason)

    def batch(self, size: int, inference_s: float) -> None:
        self.batches.append(size)

    def abandoned(self, stage: str) -> None:
        self.gone.append(stage)

    def failed(self, size: int) -> None:
        self.failures.append(size)


@asynccontextmanager
async def running(device: Device, **changes: Any) -> AsyncIterator[tuple[Batcher, Seen]]:
    """A started batcher and its observer; everything is released and stopped at the end."""
    seen = Seen()
    room = RoomLimits(**{"capacity": 64, **changes.pop("room", {})})
    batcher = Batcher(device, seen, **{"max_batch_size": 4, "max_wait_ms": 0, "room": room, **changes})
    await batcher.start()
    try:
        yield batcher, seen
    finally:
        device.open.set()
        await batcher.stop(5)


def claim(
    client: str = "", priority: Priority = Priority.NORMAL, within_s: float = LATER, *, patient: bool = False
) -> Claim:
    """What a request asks of the queue."""
    return Claim(perf_counter() + within_s, client, priority, patient)


def submit(batcher: Batcher, value: int, within_s: float = LATER, **changes: Any) -> asyncio.Future[Answer]:
    """Reserve and queue one image whose answer is *value*."""
    asked = claim(within_s=within_s, **changes)
    batcher.reserve(1, asked)
    return batcher.submit(np.full((1, 1, 1), value, np.uint8), asked)


async def entered(device: Device) -> None:
    """Wait until the device has begun another batch."""
    await asyncio.to_thread(device.entered.acquire)
