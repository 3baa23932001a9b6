"""Forms batches from single images and runs them on one device, one batch at a time.

The rule: take what is queued the moment the device is free, up to `max_batch_size`. Under load the device's own time
is the window in which the next batch gathers, so nobody waits for a timer; `max_wait_ms` (default 0) makes a free
device wait for more. Order is kept. Every entry's future is resolved exactly once: with its answer, with the error of
its batch, or with `DeadlinePassed`. All state belongs to the event loop; the device's thread only runs the model, or,
`in_loop`, there is none and the loop runs it itself. It knows neither HTTP nor ONNX Runtime.
"""

import asyncio
import logging
import math
import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from service.errors import DeadlinePassed, InferenceFailed, NotReady, Overloaded

logger = logging.getLogger("convserve.batcher")
Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
_SMOOTHING = 0.2  # weight of the newest batch in the running mean of the service time


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a model gives for N images: `logits` and `probabilities`, both (N, K)."""

    logits: Floats
    probabilities: Floats


class Answer(NamedTuple):
    """What one image got: a row of its batch's outputs, and where its time went."""

    outputs: Outputs
    row: int
    queue_s: float
    inference_s: float

    @property
    def logits(self) -> Floats:
        """Logits (K,)."""
        row: Floats = self.outputs.logits[self.row]
        return row

    @property
    def probabilities(self) -> Floats:
        """Probabilities (K,)."""
        row: Floats = self.outputs.probabilities[self.row]
        return row


class Observer(Protocol):
    """Hears of what happens in the batcher; must return at once."""

    def depth(self, waiting: int) -> None:
        """Say how many images are admitted and not yet running."""

    def batch(self, size: int) -> None:
        """Say that a batch of *size* images has been answered."""

    def abandoned(self, stage: str) -> None:
        """Say that nobody waits any more for an image that was in *stage*, queue or inference."""

    def failed(self, size: int) -> None:
        """Say that a batch of *size* images has failed."""


@dataclass(eq=False, slots=True)
class Entry:
    """One queued image (H, W, C) and who waits for it. Times are on the clock of `time.perf_counter`."""

    image: Image
    future: asyncio.Future[Answer]
    deadline: float
    enqueued_at: float


class Batcher:
    """The queue and the device thread of one model; see the module's text for the rule."""

    def __init__(
        self,
        run: Callable[[Image], Outputs],
        observer: Observer,
        *,
        max_batch_size: int,
        max_wait_ms: float,
        queue_capacity: int,
        in_loop: bool = False,
    ) -> None:
        self._run = run
        self._observer = observer
        self._max_batch_size = max_batch_size
        self._max_wait_s = max_wait_ms / 1000
        self._capacity = queue_capacity
        self._in_loop = in_loop
        self._queue: deque[Entry] = deque()
        self._running: list[Entry] = []
        self._waiting = 0  # reserved or queued
        self._image_s = 0.0  # running mean of the time that the device takes for one image of a batch
        self._turn: asyncio.Handle | None = None  # the next call of _dispatch, if one is due
        self._stopping = False
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = math.inf
        self._idle = asyncio.Event()
        self._batches: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)

    async def start(self) -> None:
        """Start the device's thread; entries may be submitted from now on."""
        self._loop = asyncio.get_running_loop()
        self._idle.set()
        if not self._in_loop:
            self._thread.start()

    async def stop(self, timeout_s: float) -> None:
        """Refuse what comes, answer what is queued; returns when the device's thread has ended or the time is over."""
        self._stopping = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
                if self._thread.is_alive():
                    self._batches.put(None)
                    await self._loop.run_in_executor(None, self._thread.join)
        except TimeoutError:
            logger.error("the device did not finish within %s s", timeout_s)  # noqa: TRY400 (the stack says nothing)
        if self._expiry is not None:
            self._expiry.cancel()

    def reserve(self, images: int, deadline: float) -> None:
        """Admit *images*, before any work is done for them; each is then to be submitted or released.

        Raises `Overloaded` when they don't fit, or would still be waiting at *deadline*; `NotReady` once
        stopping.
        """
        if self._stopping:
            raise NotReady("shutting down", retry_after_s=self._retry_after_s(0))
        waiting = self._waiting + images
        if waiting > self._capacity:
            raise Overloaded(
                f"the queue is full: {self._waiting} images wait, the limit is {self._capacity}",
                self._retry_after_s(waiting),
            )
        if self._waiting and perf_counter() + self._waiting * self._image_s > deadline:
            raise Overloaded(
                f"{self._waiting} images wait, which takes longer than the request's time", self._retry_after_s(waiting)
            )
        self._waiting = waiting
        self._idle.clear()
        self._observer.depth(waiting)

    def release(self, images: int) -> None:
        """Give back reservations for images that turned out to be none."""
        self._waiting -= images
        self._observer.depth(self._waiting)
        self._note_idle()

    def submit(self, image: Image, deadline: float) -> asyncio.Future[Answer]:
        """Queue one reserved image; the future gets its `Answer`, or the error that it ended with."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._queue.append(Entry(image, future, deadline, perf_counter()))
        if deadline < self._expiry_at:
            self._expire_at(deadline)
        if not self._running:
            if self._turn is not None and len(self._queue) == self._max_batch_size:
                self._turn.cancel()  # it may be a timer, and there is nothing left to wait for
                self._turn = None
            if self._turn is None:
                # at the end of this turn of the loop, so that requests read in the same turn share the batch
                self._turn = self._loop.call_soon(self._dispatch)
        return future

    def next_batch(self) -> list[Entry]:
        """Take the oldest live entries, at most `max_batch_size`; entries that nobody waits for are dropped."""
        batch: list[Entry] = []
        while self._queue and len(batch) < self._max_batch_size:
            entry = self._queue.popleft()
            self._waiting -= 1
            if entry.future.done():  # cancelled: its deadline would have taken it out of the queue
                self._observer.abandoned("queue")
                continue
            batch.append(entry)
        self._observer.depth(self._waiting)
        return batch

    def _dispatch(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._running or not self._queue:
            return
        if self._max_wait_s and len(self._queue) < self._max_batch_size and not self._stopping:
            left = self._queue[0].enqueued_at + self._max_wait_s - perf_counter()
            if left > 0:
                self._turn = self._loop.call_later(left, self._dispatch)
                return
        self._running = self.next_batch()
        if not self._running:
            self._note_idle()
        elif self._in_loop:
            self._finish(self._running, *self._run_batch(self._running))
        else:
            self._batches.put(self._running)

    def _work(self) -> None:
        """Run batches until told to end; the device's thread."""
        while (batch := self._batches.get()) is not None:
            self._loop.call_soon_threadsafe(self._finish, batch, *self._run_batch(batch))

    def _run_batch(self, batch: list[Entry]) -> tuple[Outputs | Exception, float, float]:
        """Return what the model gives for a batch, and from when to when it ran."""
        started = perf_counter()
        try:
            images = np.concatenate([entry.image for entry in batch])  # (N·H, W, C), cheaper than stacking
            images = images.reshape(len(batch), *batch[0].image.shape)  # (N, H, W, C)
            return self._run(images), started, perf_counter()
        except Exception as error:  # whatever the runtime raises must reach the entries of this batch
            return error, started, perf_counter()

    def _finish(self, batch: list[Entry], outcome: Outputs | Exception, started: float, ended: float) -> None:
        self._running = []
        if not self._in_loop:
            self._dispatch()  # the device first, then those who wait
        elif self._queue:
            self._turn = self._loop.call_soon(self._dispatch)  # after what has arrived meanwhile
        if isinstance(outcome, Exception):
            logger.error("a batch of %d images failed", len(batch), exc_info=outcome)
            self._observer.failed(len(batch))
            for entry in batch:
                if not entry.future.done():
                    entry.future.set_exception(InferenceFailed("inference failed"))
        else:
            inference_s = ended - started
            self._image_s += (inference_s / len(batch) - self._image_s) * (_SMOOTHING if self._image_s else 1)
            self._observer.batch(len(batch))
            for i, entry in enumerate(batch):
                if not entry.future.done():
                    queue_s = started - entry.enqueued_at
                    entry.future.set_result(Answer(outcome, i, queue_s, inference_s))
                elif entry.future.cancelled():
                    self._observer.abandoned("inference")
        self._note_idle()

    def _expire_at(self, deadline: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry_at = deadline
        self._expiry = self._loop.call_later(max(0.0, deadline - perf_counter()), self._expire)

    def _expire(self) -> None:
        """End everything whose deadline has passed, and look again when the next one does."""
        now = perf_counter()
        self._expiry, self._expiry_at = None, math.inf
        for where, entries in (("in the queue", self._queue), ("at the device", self._running)):
            for entry in entries:
                if entry.deadline <= now and not entry.future.done():
                    entry.future.set_exception(DeadlinePassed(f"the request's time was over {where}"))
        expired = [entry for entry in self._queue if entry.deadline <= now]
        if expired:
            self._queue = deque(entry for entry in self._queue if entry.deadline > now)
            self._waiting -= len(expired)
            self._observer.depth(self._waiting)
            self._note_idle()
        live = [entry.deadline for entry in (*self._queue, *self._running) if not entry.future.done()]
        if live:
            self._expire_at(min(live))

    def _note_idle(self) -> None:
        if not self._waiting and not self._running:
            self._idle.set()

    def _retry_after_s(self, waiting: int) -> int:
        """Return when the queue should have room, jittered so that the refused do not come back together."""
        return math.ceil(waiting * self._image_s + random.uniform(0, 2)) or 1  # noqa: S311 (no secret)
