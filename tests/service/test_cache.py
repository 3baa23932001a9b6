"""service/cache.py: what is kept, what is computed once, and when it stands aside."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import pytest

from models.errors import InvalidImage
from service import cache as cache_module
from service.admission import Claim
from service.cache import Cache, Result
from service.errors import DeadlinePassed, Overloaded
from service.outputs import Answer, Outputs


class Model:
    """Answers an image with its length, when it may; counts what it was asked."""

    def __init__(self, entries: int = 8, *, held: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.cache = Cache(entries, lambda result, images: self.counts.update({result: images}))
        self.asked: list[list[bytes]] = []
        self.go_on = asyncio.Event()
        self.fails: Exception | None = None
        if not held:
            self.go_on.set()

    async def compute(self, files: Sequence[bytes]) -> list[Result]:
        self.asked.append(list(files))
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        values = np.array([[len(data)] for data in files], np.float32)
        outputs = Outputs(values, values)
        return [
            InvalidImage("no image") if data == b"bad" else Answer(outputs, row, 0, 0) for row, data in enumerate(files)
        ]

    async def ask(self, *files: bytes, sha256: str = "a", crops: int = 1, within_s: float = 60) -> list[Result]:
        claim = Claim(perf_counter() + within_s)
        return await self.cache.answer(files, sha256, crops, claim, self.compute)


def values(results: Sequence[Result]) -> list[float]:
    """What was answered."""
    return [float(result.logits[0]) for result in results if isinstance(result, Answer)]


async def test_an_answer_is_kept_for_the_same_image_model_and_crops() -> None:
    """And for no other."""
    model = Model()

    assert values(await model.ask(b"xx")) == [2]
    assert values(await model.ask(b"xx", b"yyy")) == [2, 3]
    await model.ask(b"xx", sha256="b")
    await model.ask(b"xx", crops=10)

    assert model.asked == [[b"xx"], [b"yyy"], [b"xx"], [b"xx"]]
    assert model.counts == {"miss": 4, "hit": 1}


async def test_what_was_not_used_for_longest_goes_first() -> None:
    """There is room for two."""
    model = Model(2)
    for data in (b"a", b"bb", b"a", b"ccc", b"a", b"bb"):
        await model.ask(data)

    assert model.asked == [[b"a"], [b"bb"], [b"ccc"], [b"bb"]]
    assert len(model.cache) == 2


async def test_images_at_the_same_time_are_computed_once() -> None:
    """Also within one request."""
    model = Model(held=True)
    asking = [asyncio.create_task(model.ask(b"xx", b"xx")) for _ in range(50)]
    await asyncio.sleep(0)
    model.go_on.set()

    answers = await asyncio.gather(*asking)

    assert model.asked == [[b"xx"]]
    assert [values(answer) for answer in answers] == [[2, 2]] * 50
    assert model.counts == {"miss": 1, "shared": 99}


async def test_a_bad_image_is_bad_for_all_and_not_kept() -> None:
    """It is cheap to refuse again."""
    model = Model(held=True)
    asking = [asyncio.create_task(model.ask(b"bad", b"good")) for _ in range(2)]
    await asyncio.sleep(0)
    model.go_on.set()

    for results in await asyncio.gather(*asking):
        assert isinstance(results[0], InvalidImage)
        assert values(results) == [4]
    await model.ask(b"bad", b"good")
    assert model.asked == [[b"bad", b"good"], [b"bad"]]


async def test_what_ended_one_request_does_not_end_the_others() -> None:
    """They compute for themselves: refused by a full queue, or hung up on."""
    model = Model(held=True)
    model.fails = Overloaded("the queue is full", 1)
    first = asyncio.create_task(model.ask(b"xx"))
    await asyncio.sleep(0)
    second = asyncio.create_task(model.ask(b"xx"))
    await asyncio.sleep(0)

    model.go_on.set()
    with pytest.raises(Overloaded):
        await first
    model.fails = None
    assert values(await second) == [2]

    model.go_on.clear()
    third = asyncio.create_task(model.ask(b"yyy"))
    await asyncio.sleep(0)
    fourth = asyncio.create_task(model.ask(b"yyy"))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    model.go_on.set()
    assert values(await fourth) == [3]


async def test_who_joined_waits_no_longer_than_its_own_time() -> None:
    """The one that computes goes on."""
    model = Model(held=True)
    patient = asyncio.create_task(model.ask(b"xx"))
    await asyncio.sleep(0)

    (result,) = await model.ask(b"xx", within_s=0)
    model.go_on.set()

    assert isinstance(result, DeadlinePassed)
    assert values(await patient) == [2]


async def test_it_stands_aside_where_images_do_not_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while, and not where they do."""
    monkeypatch.setattr(cache_module, "WINDOW", 100)
    monkeypatch.setattr(cache_module, "ASIDE", 50)
    model = Model(1000)
    for number in range(100):
        assert not model.cache.stands_aside(1)
        await model.ask(b"%d" % number)

    assert [model.cache.stands_aside(10) for _ in range(6)] == [True] * 5 + [False]
    assert len(model.cache) <= 1  # what was kept is let go
    assert model.counts["bypassed"] == 50
    for number in range(200):
        await model.ask(b"%d" % (number % 20))
    assert not model.cache.stands_aside(1)
