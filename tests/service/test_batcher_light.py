"""service/batcher.py with a light model, which takes less time than reading what it is given: half a batch is enough,
less only when no more is coming, and then the loop, which has nothing to do, runs it itself.
"""

import asyncio
import threading

import numpy as np
import pytest

from service import device
from service.outputs import Outputs
from tests.service.device import Device, entered, running, submit


class Where(Device):
    """A device that notes which thread it was run by."""

    def __init__(self, *, held: bool = False) -> None:
        super().__init__(held=held)
        self.threads: list[str] = []

    def __call__(self, images: np.ndarray) -> Outputs:
        self.threads.append(threading.current_thread().name)
        return super().__call__(images)


async def test_half_a_batch_is_run_at_once_and_the_rest_gathers_meanwhile() -> None:
    """Without a turn of the loop between, on the thread; the next batch is what came meanwhile."""
    where = Where(held=True)
    async with running(where, light=True) as (batcher, seen):
        futures = [submit(batcher, value) for value in range(5)]
        await entered(where)
        assert where.batches == [[0, 1]]
        where.open.set()
        await asyncio.gather(*futures)

    assert where.batches == [[0, 1], [2, 3, 4]]
    assert where.threads == ["device", "device"]
    assert seen.reasons == ["device_free", "device_free"]


async def test_little_waits_while_more_is_coming_and_is_then_run_by_the_loop() -> None:
    """One image in each turn of the loop, fewer than half a batch together: one batch, when nothing came."""
    where = Where()
    async with running(where, light=True, max_batch_size=16) as (batcher, _):
        futures = []
        for value in range(5):
            futures.append(submit(batcher, value))
            await asyncio.sleep(0)
        await asyncio.gather(*futures)

    assert where.batches == [[0, 1, 2, 3, 4]]
    assert where.threads == [threading.current_thread().name]


@pytest.mark.parametrize(("in_loop", "batches"), [(True, [[0, 1, 2, 3]]), (False, [[0, 1], [2, 3]])])
async def test_in_the_loop_alone_a_whole_batch_gathers(in_loop: bool, batches: list[list[int]]) -> None:
    """There is no thread beside which the loop could gather the next one."""
    where = Device()
    async with running(where, light=True, in_loop=in_loop) as (batcher, _):
        futures = []
        for value in range(4):
            futures.append(submit(batcher, value))
            await asyncio.sleep(0)
        await asyncio.gather(*futures)

    assert where.batches == batches


async def test_a_failure_in_the_loop_fails_its_batch_alone() -> None:
    """The next image is answered."""
    async with running(Device(fails=lambda values: 1 in values), light=True) as (batcher, _):
        with pytest.raises(Exception, match="inference failed"):
            await submit(batcher, 1)
        assert int((await submit(batcher, 2)).logits[0]) == 2


async def test_what_cannot_be_joined_fails_and_the_next_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory for the batch, say: its images hear of it, and the device is free."""

    def fail(_: object) -> np.ndarray:
        raise MemoryError

    async with running(Device(), light=True) as (batcher, _):
        with monkeypatch.context() as patched:
            patched.setattr(device, "_joined", fail)
            outcomes = await asyncio.gather(*(submit(batcher, value) for value in range(3)), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["inference failed"] * 3
        assert int((await submit(batcher, 2)).logits[0]) == 2


async def test_more_than_a_few_are_never_run_by_the_loop() -> None:
    """However large half a batch is: that an image is cheap is known of a few."""
    where = Where()
    async with running(where, light=True, max_batch_size=128) as (batcher, _):
        await asyncio.gather(*(submit(batcher, value) for value in range(40)))

    assert (len(where.batches[0]), where.threads) == (40, ["device"])
