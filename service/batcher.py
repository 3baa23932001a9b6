"""Forms batches from single images and runs them on one device, one batch at a time.

The rule: take what is queued the moment the device is free, up to `max_batch_size`. Under load the device's own time
is the window in which the next batch gathers, so nobody waits for a timer; `max_wait_ms` (default 0) makes a free
device wait for more. A light model is nearly always free: it gets half a batch, or less when no more is coming
(docs/decisions/0006-take-what-is-queued.md). Order is kept. Every entry's future is resolved exactly once: with its
answer, with the error of its batch, or with `DeadlinePassed`. All state belongs to the event loop; the device's thread
only runs the model, or, `in_loop`, there is none and the loop runs it itself. It knows neither HTTP nor ONNX Runtime.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from service.admission import Claim, Room, RoomLimits
from service.device import Device, Outcome
from service.errors import DeadlinePassed, InferenceFailed, NotReady, Overloaded, as_value
from service.lanes import Entry, Image, Lanes
from service.observer import Observer, Reason
from service.outputs import Answer, Outputs

logger = logging.getLogger("convserve.batcher")
_LOOKS = 3  # turns of the loop that must bring nothing more
_FEW = 32  # images that an idle loop may run itself: it has been measured on so many that they take less than 2 ms


class Batcher:
    """The queue and the device thread of one model; see the module's text for the rule."""

    def __init__(
        self,
        run: Callable[[Image], Outputs],
        observer: Observer,
        *,
        max_batch_size: int,
        max_wait_ms: float,
        room: RoomLimits,
        in_loop: bool = False,
        gathers: bool = False,
        light: bool = False,
    ) -> None:
        self._observer = observer
        self.max_batch_size = max_batch_size
        self.max_wait_ms = max_wait_ms
        self._max_wait_s = max_wait_ms / 1000
        self.queue_capacity = room.capacity
        self._room = Room(replace(room, batch=max_batch_size))
        self._in_loop = in_loop
        self._gathers = gathers
        self._light = light
        # what is worth a run while more is coming: all where the loop runs it, else as much as may gather meanwhile
        self._enough = max_batch_size if in_loop or not light else math.ceil(max_batch_size / 2)
        self._looks = (1 if in_loop else _LOOKS) if light else 0
        self._looked, self._seen = 0, 0  # looks that brought nothing new, and what the last one saw
        self._queue = Lanes()
        self._running: list[Entry] = []
        self.failed_in_row = 0  # batches without one usable answer
        self._turn: asyncio.Handle | None = None  # the next call of _dispatch, if one is due
        self._reason: Reason = "device_free"  # what the next batch has waited for
        self._stopping = False
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = math.inf
        self.idle = asyncio.Event()  # set while nothing waits and nothing runs
        self._device = Device(run, self._finish)

    @property
    def busy_since(self) -> float | None:
        """When the batch began that the device's thread runs, None while it runs none."""
        return self._device.busy_since

    async def start(self) -> None:
        """Start the device; entries may be submitted from now on."""
        self._loop = asyncio.get_running_loop()
        self.idle.set()
        self._device.start(threaded=not self._in_loop)

    async def stop(self, timeout_s: float) -> None:
        """Refuse what comes, answer what is queued; returns when the device's thread has ended or the time is over."""
        self._stopping = True
        try:
            async with asyncio.timeout(timeout_s):
                await self.idle.wait()
                await self._device.stop()
        except TimeoutError:
            logger.error("the device did not finish within %s s", timeout_s)  # noqa: TRY400 (the stack says nothing)
        if self._expiry is not None:
            self._expiry.cancel()

    def reserve(self, images: int, claim: Claim) -> None:
        """Admit *images*, before any work is done for them; each is then to be submitted or released.

        Raises `Overloaded` when they don't fit, or would still be waiting at their deadline; `ClientLimit` when their
        client has its share; `NotReady` once stopping.
        """
        if self._stopping:
            raise NotReady("shutting down", retry_after_s=self._room.retry_after_s())
        room = self._room
        if (lacking := room.waiting + images - self.queue_capacity) > 0:
            self._make_way(lacking, claim)
        room.admit(images, claim, self._queue.behind)
        if room.waiting == images:  # the first
            self.idle.clear()
        self._observer.depth(room.waiting)

    def release(self, images: int, claim: Claim, *, abandoned: bool = False) -> None:
        """Give back reservations for images that turned out to be none, or that nobody waits for any more."""
        self._room.leave(images, claim)
        for _ in range(images if abandoned else 0):
            self._observer.abandoned("decode")
        self._observer.depth(self._room.waiting)
        self._note_idle()
        if self._gathers and self._turn is not None and not self._decoding():
            self._dispatch()  # what was waited for turned out to be none

    def submit(self, image: Image, claim: Claim) -> asyncio.Future[Answer]:
        """Queue one reserved image; the future gets its `Answer`, or the error that it ended with."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        now = perf_counter()
        self._queue.append(Entry(image, future, claim, now), yields=self._room.yields(claim, now))
        if claim.deadline < self._expiry_at:
            self._expire_at(claim.deadline)
        if not self._running:
            full = len(self._queue) == self.max_batch_size or (self._gathers and not self._decoding())
            if self._turn is not None and full:
                self._turn.cancel()  # it may be a timer, and there is nothing left to wait for
                self._turn = None
            if self._turn is None:
                # at the end of this turn of the loop, so that requests read in the same turn share the batch
                self._turn = self._loop.call_soon(self._look)
            elif len(self._queue) == self._enough:
                self._dispatch()
        return future

    def abandon(self, futures: Sequence[asyncio.Future[Answer]]) -> None:
        """Forget images that nobody waits for any more: their places are free at once and they are not run."""
        for future in futures:
            if not (future.cancel() or future.cancelled()) and future.exception() is None:  # it has run, for nobody
                self._observer.abandoned("respond")
        self._leave(self._queue.remove(lambda entry: entry.future.cancelled()))

    def next_batch(self) -> list[Entry]:
        """Take the next live entries, at most `max_batch_size`; what is past its deadline or abandoned is not run."""
        batch: list[Entry] = []
        now = perf_counter()
        if (overdrawn := self._room.overdrawn(now)) is not None:
            self._queue.put_behind(overdrawn)
        together = self._room.together(now)
        while len(batch) < self.max_batch_size and (entry := self._queue.pop(last=len(batch) < together)) is not None:
            self._room.leave(1, entry.claim)
            if entry.future.done():
                self._observer.abandoned("queue")
            elif entry.claim.deadline <= now:  # the timer is late
                entry.future.set_exception(DeadlinePassed("the request's time was over in the queue"))
            else:
                batch.append(entry)
        self._observer.depth(self._room.waiting)
        return batch

    def _look(self) -> None:
        """Run what is queued, unless more is coming and there is not enough of it yet."""
        waiting = len(self._queue)
        if waiting < self._enough and not self._stopping:
            self._looked = 0 if waiting != self._seen else self._looked + 1
            self._seen = waiting
            if self._looked < self._looks:
                self._turn = self._loop.call_soon(self._look)
                return
        self._dispatch(idle=waiting < min(self._enough, _FEW))

    def _dispatch(self, *, idle: bool = False) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._running or not self._queue:
            return
        self._looked, self._seen = 0, 0
        full = len(self._queue) >= self.max_batch_size
        if not full and (wait_s := self._wait_s()):
            self._reason = "max_wait" if wait_s == self._max_wait_s else "gathered"
            left = self._queue.oldest_at() + wait_s - perf_counter()
            if left > 0:
                self._turn = self._loop.call_later(left, self._dispatch)
                return
        reason, self._reason = self._reason, "device_free"
        self._running = self.next_batch()
        if not self._running:
            self._note_idle()
            return
        self._observer.dispatched("full" if full else "drain" if self._stopping else reason)
        self._room.begin(len(self._running))
        # a loop that has nothing else to do runs a light model itself: the thread would have to be woken
        self._device.begin(self._running, in_loop=self._in_loop or (idle and self._light))

    def _wait_s(self) -> float:
        """Return for how long the oldest entry may wait for more to come.

        A device that shares its cores with the decoder loses nothing by waiting for images that are being decoded,
        and a fuller batch is cheaper an image. The bound, as long as running what is there, is for slow images.
        """
        if self._stopping:
            return 0.0
        gather_s = self._room.image_s * len(self._queue) if self._gathers and self._decoding() else 0.0
        return max(self._max_wait_s, gather_s)

    def _decoding(self) -> int:
        """Return how many images are admitted and not queued yet."""
        return self._room.waiting - len(self._queue)

    def _finish(self, batch: list[Entry], outcome: Outcome) -> None:
        self._running = []
        unusable, outputs = outcome.unusable, outcome.outputs
        if not isinstance(outputs, Exception):
            self._room.end(len(batch), outcome.ended - outcome.started)
        else:
            self._room.busy_until = 0.0
        if not self._in_loop and (not self._looks or len(self._queue) >= self._enough):
            self._dispatch()  # the device first, then those who wait
        elif self._queue:
            self._turn = self._loop.call_soon(self._look)  # after what has arrived meanwhile
        inference_s = outcome.ended - outcome.started
        if unusable:
            self._note_failure(batch, outcome)
        if isinstance(outputs, Exception):
            self._note_idle()
            return
        abandoned = 0
        for i, entry in enumerate(batch):
            if not entry.future.done():
                entry.future.set_result(Answer(outputs, i, outcome.started - entry.enqueued_at, inference_s))
            else:
                abandoned += entry.future.cancelled()
        self._note_idle()  # from here on nobody waits: what fails in counting fails no request
        for _ in range(abandoned):
            self._observer.abandoned("inference")
        if len(unusable) < len(batch):
            self.failed_in_row = 0
            self._observer.batch(len(batch) - len(unusable), inference_s)

    def _note_failure(self, batch: list[Entry], outcome: Outcome) -> None:
        """Log what has failed and tell exactly those who asked for it."""
        unusable = outcome.unusable
        for i in unusable:
            if not batch[i].future.done():
                batch[i].future.set_exception(InferenceFailed("inference failed"))
        if isinstance(outcome.outputs, Exception):
            logger.error("a batch of %d images failed", len(batch), exc_info=outcome.outputs)
            as_value(outcome.outputs)
        else:
            logger.error("no finite numbers for %d of a batch of %d images", len(unusable), len(batch))
        self.failed_in_row += len(unusable) == len(batch)
        self._observer.failed(len(unusable))

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
                if entry.claim.deadline <= now and not entry.future.done():
                    entry.future.set_exception(DeadlinePassed(f"the request's time was over {where}"))
        self._leave(self._queue.remove(lambda entry: entry.claim.deadline <= now))
        live = [entry.claim.deadline for entry in (*self._queue, *self._running) if not entry.future.done()]
        if live:
            self._expire_at(min(live))

    def _make_way(self, places: int, claim: Claim) -> None:
        """Refuse late entries that would run after a claim, in favour of it."""
        gone = self._queue.give_way(places, claim)
        retry_after_s = self._room.retry_after_s()
        for entry in gone:
            if not entry.future.done():
                entry.future.set_exception(Overloaded("gave its place to a request that goes first", retry_after_s))
        self._leave(gone)

    def _leave(self, entries: Sequence[Entry]) -> None:
        """Free the places of entries that were taken out of the queue unrun."""
        if not entries:
            return
        for entry in entries:
            self._room.leave(1, entry.claim)
            if entry.future.cancelled():
                self._observer.abandoned("queue")
        self._observer.depth(self._room.waiting)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._room.waiting and not self._running:
            self.idle.set()
