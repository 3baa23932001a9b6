"""Runs the batches of one model, one at a time: on a thread of its own, or in the loop.

The thread and the loop share one interpreter lock, and each time that the thread asks for it costs both of them some
microseconds. So the thread does nothing but run the model: what is small enough is joined and looked at in the loop.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np

from service.lanes import Entry, Image
from service.outputs import Outputs

_SMALL_BYTES: Final = 262_144  # of a whole batch: joined in some ten microseconds


class Outcome(NamedTuple):
    """What a batch came to, the rows that have no answer, and from when to when it ran."""

    outputs: Outputs | Exception
    unusable: frozenset[int]
    started: float
    ended: float


class Device:
    """Hands batches to *run* and, in the loop, what they came to to *done*."""

    def __init__(self, run: Callable[[Image], Outputs], done: Callable[[list[Entry], Outcome], None]) -> None:
        self._run = run
        self._done = done
        self.busy_since: float | None = None  # when the batch began that the thread runs
        self._batches: queue.SimpleQueue[tuple[list[Entry], Image | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)

    def start(self, *, threaded: bool) -> None:
        """Start the thread if there is to be one; batches may be run from now on."""
        self._loop = asyncio.get_running_loop()
        if threaded:
            self._thread.start()

    async def stop(self) -> None:
        """Return when the thread has ended."""
        if self._thread.is_alive():
            self._batches.put(None)
            await self._loop.run_in_executor(None, self._thread.join)

    def begin(self, batch: list[Entry], *, in_loop: bool) -> None:
        """Run a batch; *in_loop*, it has run when this returns."""
        try:
            images = _joined(batch) if _is_small(batch) else None
        except Exception as error:  # whatever it is must reach the entries of this batch
            now = perf_counter()
            self._loop.call_soon(self._end, batch, error, now, now)
            return
        if in_loop:
            self._end(batch, *self._time(batch, images))
        else:
            self.busy_since = perf_counter()
            self._batches.put((batch, images))

    def _work(self) -> None:
        while (work := self._batches.get()) is not None:
            self._loop.call_soon_threadsafe(self._end, work[0], *self._time(*work))

    def _time(self, batch: list[Entry], images: Image | None) -> tuple[Outputs | Exception, float, float]:
        started = perf_counter()
        try:
            outputs: Outputs | Exception = self._run(_joined(batch) if images is None else images)
        except Exception as error:  # as above, of the runtime
            outputs = error
        return outputs, started, perf_counter()

    def _end(self, batch: list[Entry], outputs: Outputs | Exception, started: float, ended: float) -> None:
        self.busy_since = None
        try:
            unusable = frozenset(range(len(batch))) if isinstance(outputs, Exception) else outputs.unusable()
        except Exception as error:  # as above
            outputs, unusable = error, frozenset(range(len(batch)))
        self._done(batch, Outcome(outputs, unusable, started, ended))


def _joined(batch: Sequence[Entry]) -> Image:
    """Return the images of a batch as one array (N, H, W, C)."""
    shape = (len(batch), *batch[0].image.shape)
    if _is_small(batch):  # numpy lets go of the interpreter lock for each of them
        return np.frombuffer(b"".join([entry.image.tobytes() for entry in batch]), np.uint8).reshape(shape)
    return np.concatenate([entry.image for entry in batch]).reshape(shape)


def _is_small(batch: Sequence[Entry]) -> bool:
    first = batch[0].image
    return first.nbytes * len(batch) <= _SMALL_BYTES and all(entry.image.shape == first.shape for entry in batch)
