"""service/batcher.py on a device that shares its cores with the decoder: what is being decoded is waited for."""

import asyncio

import numpy as np

from service.admission import Claim
from service.batcher import Batcher
from service.outputs import Answer
from tests.service.device import LATER, Device, claim, running, submit


def decoded(batcher: Batcher, value: int, asked: Claim) -> asyncio.Future[Answer]:
    """Queue an image that was reserved before."""
    return batcher.submit(np.full((1, 1, 1), value, np.uint8), asked)


async def turns() -> None:
    """Let the loop turn more often than a dispatch needs."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_images_that_are_being_decoded_join_the_batch() -> None:
    """The device waits for the last of those that were admitted, and no longer."""
    device = Device()
    asked = claim(within_s=10 * LATER)
    async with running(device, gathers=True) as (batcher, _):
        batcher._room.image_s = LATER
        batcher.reserve(3, asked)
        first = [decoded(batcher, 0, asked), decoded(batcher, 1, asked)]
        await turns()
        assert device.batches == []
        await asyncio.gather(*first, decoded(batcher, 2, asked))

    assert device.batches == [[0, 1, 2]]


async def test_an_image_that_turns_out_to_be_none_is_not_waited_for() -> None:
    """Giving back the last reservation starts the batch."""
    device = Device()
    asked = claim(within_s=10 * LATER)
    async with running(device, gathers=True) as (batcher, _):
        batcher._room.image_s = LATER
        batcher.reserve(2, asked)
        first = decoded(batcher, 0, asked)
        await turns()
        batcher.release(1, asked)
        await first

    assert device.batches == [[0]]


async def test_a_full_batch_does_not_wait() -> None:
    """Whatever is still being decoded belongs to the next one."""
    device = Device()
    asked = claim(within_s=10 * LATER)
    async with running(device, gathers=True) as (batcher, _):
        batcher._room.image_s = LATER
        batcher.reserve(5, asked)
        await asyncio.gather(*(decoded(batcher, value, asked) for value in range(4)))
        batcher.release(1, asked)

    assert device.batches == [[0, 1, 2, 3]]


async def test_a_slow_decode_is_waited_for_only_as_long_as_the_batch_would_run() -> None:
    """One huge image among small ones does not hold them up."""
    device = Device()
    asked = claim(within_s=10 * LATER)
    async with running(device, gathers=True) as (batcher, _):
        batcher._room.image_s = 0.001
        batcher.reserve(2, asked)
        await decoded(batcher, 0, asked)
        await decoded(batcher, 1, asked)

    assert device.batches == [[0], [1]]


async def test_a_device_of_its_own_starts_at_once() -> None:
    """What does not share the decoder's cores would only stand idle."""
    device = Device()
    asked = claim(within_s=10 * LATER)
    async with running(device) as (batcher, _):
        batcher._room.image_s = LATER
        batcher.reserve(1, asked)
        await submit(batcher, 1, 10 * LATER)
        batcher.release(1, asked)

    assert device.batches == [[1]]
