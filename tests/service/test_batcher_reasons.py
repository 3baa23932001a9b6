"""service/batcher.py: why a batch is run when it is, as metrics hear of it."""

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.service.device import Device, claim, entered, running, submit


async def test_a_free_device_takes_what_there_is_and_full_batches_are_full() -> None:
    """One image on its own; then four gather behind it while it runs, and one is left."""
    device = Device(held=True)
    async with running(device) as (batcher, seen):
        first = submit(batcher, 1)
        await entered(device)
        rest = [submit(batcher, value) for value in range(2, 7)]
        device.open.set()
        await asyncio.gather(first, *rest)

        assert device.batches == [[1], [2, 3, 4, 5], [6]]
        assert seen.reasons == ["device_free", "full", "device_free"]


async def test_what_has_waited_says_so() -> None:
    """For the time that was set, when it does not fill."""
    async with running(Device(), max_wait_ms=1) as (batcher, seen):
        await submit(batcher, 1)

        assert seen.reasons == ["max_wait"]


async def test_what_has_gathered_says_so() -> None:
    """The device was free and waited for an image that was still being decoded."""
    device = Device()
    async with running(device, gathers=True) as (batcher, seen):
        await submit(batcher, 1)  # so that it knows how long an image takes
        batcher._room.image_s = 10.0
        asked = claim()
        batcher.reserve(2, asked)
        first = batcher.submit(np.full((1, 1, 1), 2, np.uint8), asked)
        await asyncio.sleep(0)
        second = batcher.submit(np.full((1, 1, 1), 3, np.uint8), asked)
        await asyncio.gather(first, second)

        assert device.batches[1:] == [[2, 3]]
        assert seen.reasons[1:] == ["gathered"]


@pytest.mark.parametrize(
    ("changes", "first", "reasons"),
    [
        pytest.param({"max_wait_ms": 1000}, 4, ["full", "drain"], id="that would have waited for a timer"),
        pytest.param({"light": True}, 2, ["device_free", "drain"], id="of a light model"),
    ],
)
async def test_what_is_drained_says_so(changes: dict[str, Any], first: int, reasons: list[str]) -> None:
    """Nothing waits any longer once the batcher stops."""
    device = Device(held=True)
    async with running(device, **changes) as (batcher, seen):
        running_now = [submit(batcher, value) for value in range(first)]
        await entered(device)
        last = submit(batcher, 9)
        stopping = asyncio.create_task(batcher.stop(5))
        await asyncio.sleep(0)
        device.open.set()
        await asyncio.gather(*running_now, last, stopping)

        assert device.batches == [[*range(first)], [9]]
        assert seen.reasons == reasons
