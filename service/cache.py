"""Answers that were given before, kept for images that come again: by the hash of the image file and of the model.

Images that come at the same time are computed once. Where images rarely come again, looking for them costs more than
it saves: the cache then stands aside, and looks again later. It belongs to one worker and knows no HTTP.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from models.errors import ModelError
from service.admission import Claim
from service.errors import DeadlinePassed, RequestError
from service.outputs import Answer, alone

WINDOW = 1_000  # images over which the hit rate is looked at
ASIDE = 20_000  # images that then pass by, where it does not pay
MIN_HIT_RATE = 0.02  # what a look costs, beside what it saves: a hash of the file against decoding and inference


class _Key(NamedTuple):
    image: bytes
    model: str  # SHA-256 of its file
    crops: int


Result = Answer | ModelError | RequestError
Compute = Callable[[Sequence[bytes]], Awaitable[list[Result]]]


class Cache:
    """At most *entries* answers, the least recently used going first. *count* hears of `hit`, `shared`, `miss` and
    `bypassed` images.
    """

    def __init__(self, entries: int, count: Callable[[str, int], None]) -> None:
        self._entries = entries
        self._count = count
        self._answers: OrderedDict[_Key, Answer] = OrderedDict()
        self._flights: dict[_Key, asyncio.Future[Result | None]] = {}
        self._seen = self._hits = 0  # in this window
        self._aside = 0  # images still to pass by

    def __len__(self) -> int:
        return len(self._answers)

    def stands_aside(self, images: int) -> bool:
        """Tell whether these images shall be computed without a look."""
        if not self._aside:
            return False
        self._aside = max(0, self._aside - images)
        self._count("bypassed", images)
        return True

    async def answer(
        self, files: Sequence[bytes], sha256: str, crops: int, claim: Claim, compute: Compute
    ) -> list[Result]:
        """Return what the model file *sha256* answers to each file: kept, being computed, or else given by *compute*.

        Raises what *compute* raises.
        """
        keys = [_Key(hashlib.blake2b(data, digest_size=32).digest(), sha256, crops) for data in files]
        found: dict[int, Result] = {}
        others: dict[int, asyncio.Future[Result | None]] = {}
        own: list[int] = []
        for index, key in enumerate(keys):
            kept = self._answers.get(key)
            if kept is not None:
                self._answers.move_to_end(key)
                found[index] = kept
            elif key in self._flights:
                others[index] = self._flights[key]
            else:
                self._flights[key] = asyncio.get_running_loop().create_future()
                own.append(index)
        self._note(len(found), len(others), len(own))
        if own:
            found |= await self._compute(own, files, keys, compute)
        for index, flight in others.items():
            found[index] = await self._joined(flight, claim, files[index], compute)
        return [found[index] for index in range(len(files))]

    async def _compute(
        self, own: list[int], files: Sequence[bytes], keys: list[_Key], compute: Compute
    ) -> dict[int, Result]:
        """Compute what nobody else computes, keep it, and give it to those who joined meanwhile."""
        results: list[Result] | None = None
        try:
            results = await compute([files[index] for index in own])
        finally:  # whatever happened, nobody must wait for it any longer
            for position, index in enumerate(own):
                result = None if results is None else results[position]
                flight = self._flights.pop(keys[index])
                # what ended this request, its deadline say, need not end theirs
                flight.set_result(None if isinstance(result, RequestError) else result)
                if isinstance(result, Answer):
                    self._keep(keys[index], result)
        return dict(zip(own, results, strict=True))

    async def _joined(
        self, flight: asyncio.Future[Result | None], claim: Claim, data: bytes, compute: Compute
    ) -> Result:
        try:
            async with asyncio.timeout(claim.deadline - perf_counter()):
                result = await asyncio.shield(flight)
        except TimeoutError:
            return DeadlinePassed("the request's time was over while another's answer was waited for")
        return (await compute([data]))[0] if result is None else result

    def _keep(self, key: _Key, answer: Answer) -> None:
        self._answers[key] = alone(answer)
        if len(self._answers) > self._entries:
            self._answers.popitem(last=False)

    def _note(self, hits: int, shared: int, misses: int) -> None:
        for result, images in (("hit", hits), ("shared", shared), ("miss", misses)):
            if images:
                self._count(result, images)
        self._seen += hits + shared + misses
        self._hits += hits + shared
        if self._seen >= WINDOW:
            if self._hits < MIN_HIT_RATE * self._seen:
                self._aside = ASIDE
                self._answers.clear()
            self._seen = self._hits = 0
