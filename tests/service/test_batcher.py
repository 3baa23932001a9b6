"""service/batcher.py, rule by rule: how batches form and who is admitted. A real thread runs the model; gates make its
timing exact.
"""

import asyncio

import pytest

from service.errors import Overloaded
from tests.service.device import Device, claim, entered, running, submit


@pytest.mark.parametrize("in_loop", [False, True])
async def test_every_image_gets_its_own_answer(in_loop: bool) -> None:
    """No cross-talk within and between batches, whoever runs the model."""
    async with running(Device(), in_loop=in_loop) as (batcher, seen):
        answers = await asyncio.gather(*(submit(batcher, value) for value in range(50)))

    assert [int(answer.logits[0]) for answer in answers] == list(range(50))
    assert sum(seen.batches) == 50
    assert max(seen.batches) == 4
    assert seen.depths[-1] == 0


async def test_what_came_in_one_turn_shares_a_batch() -> None:
    """A free device starts at the end of the loop's turn, not at the first image."""
    device = Device()
    async with running(device) as (batcher, _):
        await asyncio.gather(*(submit(batcher, value) for value in range(3)))

    assert device.batches == [[0, 1, 2]]


async def test_a_busy_device_gathers_the_next_batch() -> None:
    """What is queued is taken, in order, up to the limit, the moment the device is free."""
    device = Device(held=True)
    async with running(device) as (batcher, seen):
        first = submit(batcher, 0)
        await entered(device)
        rest = [submit(batcher, value) for value in range(1, 8)]
        device.open.set()
        await asyncio.gather(first, *rest)

    assert device.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
    assert seen.batches == [1, 4, 3]


async def test_a_single_image_does_not_wait() -> None:
    """With max_wait_ms = 0 nothing is waited for."""
    device = Device()
    async with running(device) as (batcher, _):
        answer = await submit(batcher, 7)

    assert int(answer.logits[0]) == 7
    assert device.batches == [[7]]


async def test_max_wait_lets_a_batch_gather() -> None:
    """With a wait, images of later turns still join the first."""
    device = Device()
    async with running(device, max_wait_ms=10_000) as (batcher, _):
        futures = []
        for value in range(4):  # the fourth fills the batch, which ends the wait
            futures.append(submit(batcher, value))
            await asyncio.sleep(0)
        await asyncio.gather(*futures)

    assert device.batches == [[0, 1, 2, 3]]


async def test_max_wait_ends() -> None:
    """A batch that does not fill is run when the wait is over."""
    device = Device()
    async with running(device, max_wait_ms=20) as (batcher, _):
        answer = await submit(batcher, 1)

    assert answer.queue_s >= 0.02
    assert device.batches == [[1]]


async def test_a_full_queue_refuses() -> None:
    """The bound counts images that wait, not the batch that runs, and the refusal says when to come back."""
    device = Device(held=True)
    async with running(device, room={"capacity": 3}) as (batcher, seen):
        running_one = submit(batcher, 0)
        await entered(device)
        queued = [submit(batcher, value) for value in (1, 2, 3)]

        with pytest.raises(Overloaded, match="queue is full: 3 images wait, the limit is 3") as refused:
            submit(batcher, 4)

        device.open.set()
        await asyncio.gather(running_one, *queued)
        assert await submit(batcher, 5)  # there is room again

    (name, seconds) = refused.value.headers[0]
    assert name == b"retry-after"
    assert int(seconds) >= 1
    assert max(seen.depths) == 3


async def test_several_images_are_admitted_together_or_not_at_all() -> None:
    """A request of many images cannot be admitted by half."""
    device = Device(held=True)
    async with running(device, room={"capacity": 3}) as (batcher, _):
        batcher.reserve(2, claim())
        with pytest.raises(Overloaded):
            batcher.reserve(2, claim())

        batcher.release(2, claim())

        batcher.reserve(3, claim())
        batcher.release(3, claim())


async def test_a_wait_that_would_outlast_the_deadline_is_refused_at_once() -> None:
    """Estimated from what an image has taken so far."""
    device = Device(held=True)
    async with running(device, max_batch_size=1) as (batcher, _):
        batcher._room.image_s = 0.05  # as if images had taken 50 ms each
        held = submit(batcher, 1)
        await entered(device)
        queued = [submit(batcher, value) for value in (2, 3)]

        with pytest.raises(Overloaded, match="takes longer than the request's time"):
            submit(batcher, 4, within_s=0.04)

        device.open.set()
        await asyncio.gather(held, *queued)
