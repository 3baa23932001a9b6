"""Who may wait: how much room there is before a device, how much of it one client may take, and how long it will be.

Decided before any work is done for a request, in a microsecond, so that a flood costs little. Everything is counted in
images; what an image costs is measured. It knows nothing of HTTP, and nothing of who waits but a client's name.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from time import perf_counter
from typing import NamedTuple

from service.errors import BadParameter, ClientLimit, Overloaded
from service.shares import Client, Shares

_SMOOTHING = 0.2  # weight of the newest batch in the running mean of the service time
_JITTER_S = 2.0  # spread over which the refused come back
_BATCHES = 2  # that one client may always fill: the one that runs, and the next
_NOBODY: Mapping[str, int] = {}


class Priority(IntEnum):
    """Who goes first; when there is no room, the last of a lower priority gives its place to a higher one."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


def parse_priority(name: str) -> Priority:
    """Return the priority that X-Priority names; raises `BadParameter`."""
    try:
        return Priority[name.strip().upper()]
    except KeyError:
        raise BadParameter("X-Priority: must be high, normal or low") from None


class Claim(NamedTuple):
    """What a request asks of the queue. The deadline is on the clock of `perf_counter`; *patient*: a client set it."""

    deadline: float
    client: str = ""
    priority: Priority = Priority.NORMAL
    patient: bool = False


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How many images may wait, how long at most, which part of both one client may take, and what a batch holds."""

    capacity: int
    max_queue_s: float = math.inf
    client_share: float = 1.0
    batch: int = 1


class Room:
    """The room before one device: who holds how much of it, and how long an image takes."""

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        part = limits.client_share
        self._shares = Shares(part, math.ceil(limits.capacity * part), limits.max_queue_s * part) if part < 1 else None
        self._by_priority = [0] * len(Priority)
        self.waiting = 0  # images that are admitted and do not run yet
        self.image_s = 0.0  # running mean of the time that the device takes for one image of a batch
        self.busy_until = 0.0  # when the running batch should end

    def admit(self, images: int, claim: Claim, behind: Mapping[str, int] = _NOBODY) -> None:
        """Take room for *images* until they `leave`; *behind* is who waits behind everybody, with how many.

        Raises `ClientLimit` when their client has its share, which never holds for one that holds nothing yet;
        `Overloaded` when they don't fit, or would wait longer than the limit or than their deadline.
        """
        now = perf_counter()
        shares, client = self._shares, None
        if shares is not None:
            asked = shares.ask(claim.client, images, self.image_s, now)
            if isinstance(asked, str):
                raise ClientLimit(asked, self.retry_after_s())
            client = asked
        if self.waiting + images > self._limits.capacity:
            raise Overloaded(
                f"the queue is full: {self.waiting} images wait, the limit is {self._limits.capacity}",
                self.retry_after_s(),
            )
        if self.waiting or now < self.busy_until:  # else it is tried: an estimate must not lock a free device
            self._check_wait(now, images, claim, behind, client)
        if shares is not None and client is not None:
            shares.take(client, images, self.image_s, now)
        self._by_priority[claim.priority] += images
        self.waiting += images

    def leave(self, images: int, claim: Claim) -> None:
        """Give back the room of images that run now, or never will."""
        self.waiting -= images
        self._by_priority[claim.priority] -= images
        if self._shares is not None:
            self._shares.give_back(claim.client, images)

    def yields(self, claim: Claim, now: float) -> bool:
        """Tell whether a claim has to let others go first, in batches of their own."""
        return self._shares is not None and self._shares.yields(claim.client, now)

    def overdrawn(self, now: float) -> Callable[[Claim], bool] | None:
        """Once somebody has begun to ask beside one who was alone, return, once, what tells who has used too much."""
        shares = self._shares
        if shares is None or not shares.disturbed:
            return None
        shares.disturbed = False
        return lambda claim: shares.overdrawn(claim.client, now)

    def together(self, now: float) -> float:
        """Return how many of those who wait behind everybody may share a batch: where others ask, one has its own."""
        if self._shares is None or not self.image_s:
            return math.inf
        return max(1.0, self._shares.seconds / self.image_s) if self._shares.calm(now) else 1.0

    def begin(self, images: int) -> None:
        """Note that a batch begins to run."""
        self.busy_until = perf_counter() + images * self.image_s

    def end(self, images: int, seconds: float) -> None:
        """Note what a batch took."""
        self.busy_until = 0.0
        self.image_s += (seconds / images - self.image_s) * (_SMOOTHING if self.image_s else 1)

    def retry_after_s(self) -> int:
        """Return when what waits now should have run, jittered so that the refused do not come back together."""
        wait_s = max(0.0, self.busy_until - perf_counter()) + self.waiting * self.image_s
        return math.ceil(wait_s + random.uniform(0, _JITTER_S)) or 1  # noqa: S311 (no secret)

    def _check_wait(
        self, now: float, images: int, claim: Claim, behind: Mapping[str, int], client: Client | None
    ) -> None:
        ahead, limit_s, shares = sum(self._by_priority[: claim.priority + 1]), self._limits.max_queue_s, self._shares
        if shares is not None and client is not None:
            if behind and claim.client not in behind and not shares.beyond(client, images, self.image_s):
                ahead = max(0, ahead - sum(behind.values()))
            if client.alone:  # it waits for itself, and longer only where one batch takes longer
                limit_s = math.inf if claim.patient else max(limit_s, _BATCHES * self._limits.batch * self.image_s)
        wait_s = ahead * self.image_s
        if self.busy_until > now:
            wait_s += self.busy_until - now
        if now + wait_s + images * self.image_s > claim.deadline:
            raise Overloaded(f"{ahead} images wait, which takes longer than the request's time", self.retry_after_s())
        if ahead and wait_s > limit_s:
            raise Overloaded(f"the wait is {wait_s:.2f} s, the limit is {limit_s:g} s", self.retry_after_s())
