"""The images that wait for a device, in the order in which they will run: by priority, then by arrival."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.admission import Claim, Priority

Image = npt.NDArray[np.uint8]


@dataclass(eq=False, slots=True)
class Entry:
    """One queued image (H, W, C) and who waits for it. Times are on the clock of `time.perf_counter`."""

    image: Image
    future: asyncio.Future[Any]
    claim: Claim
    enqueued_at: float


class Lanes:
    """One queue a priority, and behind them one for those who have to yield."""

    def __init__(self) -> None:
        self._lanes: tuple[deque[Entry], ...] = tuple(deque() for _ in (*Priority, None))
        self._count = 0
        self.behind: dict[str, int] = {}  # clients in the last lane, and how much they have there

    def __len__(self) -> int:
        """Count what waits."""
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """Yield what waits, in order."""
        for lane in self._lanes:
            yield from lane

    def append(self, entry: Entry, *, yields: bool = False) -> None:
        """Queue an entry behind those of its priority, or behind everybody; nobody goes before what is his own."""
        self._count += 1
        client = entry.claim.client
        if not yields and client not in self.behind:
            self._lanes[entry.claim.priority].append(entry)
            return
        self._lanes[-1].append(entry)
        self.behind[client] = self.behind.get(client, 0) + 1

    def pop(self, *, last: bool = True) -> Entry | None:
        """Take the entry whose turn it is, None if nothing waits; of the *last* lane only if it may be that one's."""
        for lane in self._lanes[:-1]:
            if lane:
                self._count -= 1
                return lane.popleft()
        if not last or not self._lanes[-1]:
            return None
        self._count -= 1
        entry = self._lanes[-1].popleft()
        self._left(entry)
        return entry

    def put_behind(self, yields: Callable[[Claim], bool]) -> None:
        """Move what has to yield to the head of the last lane: it came before what is there."""
        keep: list[deque[Entry]] = []
        last: deque[Entry] = deque()
        for lane in self._lanes[:-1]:
            keep.append(deque())
            for entry in lane:
                (last if yields(entry.claim) else keep[-1]).append(entry)
        last += self._lanes[-1]
        self._lanes = (*keep, last)
        self.behind = dict(Counter(entry.claim.client for entry in last))

    def oldest_at(self) -> float:
        """Return when the entry was queued that has waited longest."""
        return min(lane[0].enqueued_at for lane in self._lanes if lane)

    def remove(self, leaves: Callable[[Entry], bool]) -> list[Entry]:
        """Take out, from anywhere, what *leaves*."""
        gone = [entry for entry in self if leaves(entry)]
        if gone:
            self._lanes = tuple(deque(entry for entry in lane if not leaves(entry)) for lane in self._lanes)
            self._count -= len(gone)
            self.behind = dict(Counter(entry.claim.client for entry in self._lanes[-1]))
        return gone

    def give_way(self, places: int, to: Claim) -> list[Entry]:
        """Take out the latest entries of those who wait behind *to*; none if they are fewer than *places*."""
        below = self._lanes[to.priority + 1 : -1 if to.client in self.behind else None]
        if sum(map(len, below)) < places:
            return []
        gone: list[Entry] = []
        for lane in reversed(below):
            while lane and len(gone) < places:
                gone.append(lane.pop())
                if lane is self._lanes[-1]:
                    self._left(gone[-1])
        self._count -= len(gone)
        return gone

    def _left(self, entry: Entry) -> None:
        """Note that an entry is no longer in the last lane."""
        self.behind[entry.claim.client] -= 1
        if not self.behind[entry.claim.client]:
            del self.behind[entry.claim.client]
