"""service/lanes.py, and what the batcher does with priorities."""

import asyncio

import pytest

from service.admission import Priority
from service.errors import ClientLimit, Overloaded
from tests.service.device import Device, claim, entered, running, submit

HIGH, NORMAL, LOW = Priority


async def test_higher_priorities_run_first() -> None:
    """And within one the order of arrival is kept."""
    device = Device(held=True)
    async with running(device, max_batch_size=2) as (batcher, _):
        futures = [submit(batcher, 0)]
        await entered(device)
        futures += [submit(batcher, value, priority=LOW) for value in (1, 2)]
        futures += [submit(batcher, value) for value in (3, 4)]
        futures += [submit(batcher, value, priority=HIGH) for value in (5, 6, 7)]
        device.open.set()
        await asyncio.gather(*futures)

    assert device.batches == [[0], [5, 6], [7, 3], [4, 1], [2]]


async def test_the_latest_of_the_lowest_priority_gives_way() -> None:
    """Only when there is no room, and only to a higher priority."""
    device = Device(held=True)
    async with running(device, max_batch_size=8, room={"capacity": 3}) as (batcher, seen):
        held = submit(batcher, 0)
        await entered(device)
        normal, low, later = submit(batcher, 1), submit(batcher, 2, priority=LOW), submit(batcher, 3, priority=LOW)

        high = submit(batcher, 4, priority=HIGH)
        with pytest.raises(Overloaded, match="gave its place"):
            await later
        with pytest.raises(Overloaded, match="the queue is full"):
            submit(batcher, 5, priority=LOW)
        device.open.set()
        await asyncio.gather(held, normal, low, high)

    assert device.batches == [[0], [4, 1, 2]]
    assert max(seen.depths) == 3
    assert seen.depths[-1] == 0


async def test_nobody_gives_way_in_vain() -> None:
    """When those of lower priority are too few, the newcomer is refused and they stay."""
    device = Device(held=True)
    async with running(device, room={"capacity": 2}) as (batcher, _):
        held = submit(batcher, 0)
        await entered(device)
        high, low = submit(batcher, 1, priority=HIGH), submit(batcher, 2, priority=LOW)
        with pytest.raises(Overloaded):
            batcher.reserve(2, claim(priority=HIGH))
        device.open.set()
        await asyncio.gather(held, high, low)


async def test_who_leaves_when_his_image_has_run_is_counted_as_such() -> None:
    """Its answer is ready and nobody is told; an image that failed had none."""
    device = Device(fails=lambda values: values == [7])
    async with running(device, max_batch_size=1) as (batcher, seen):
        answered, failed = submit(batcher, 1), submit(batcher, 7)
        await asyncio.wait([answered, failed])

        batcher.abandon([answered, failed])

    assert seen.gone == ["respond"]
    assert device.batches == [[1], [7]]


async def test_abandoned_images_free_their_places_at_once() -> None:
    """Not only when the device comes to them, and they are never run."""
    device = Device(held=True)
    async with running(device, room={"capacity": 2}) as (batcher, seen):
        held = submit(batcher, 0)
        await entered(device)
        gone = [submit(batcher, value) for value in (1, 2)]
        gone[0].cancel()  # as a task that is cancelled does with what it waits for

        batcher.abandon(gone)

        assert seen.depths[-1] == 0
        assert seen.gone == ["queue", "queue"]
        last = submit(batcher, 3)
        device.open.set()
        await asyncio.gather(held, last)

    assert device.batches == [[0], [3]]


async def test_who_used_too_much_goes_last_and_alone() -> None:
    """Not in the batch of a polite client, though there is room in it, and with one request at a time."""
    device = Device(held=True)
    limits = {"capacity": 10, "client_share": 0.5, "max_queue_s": 4.0}
    async with running(device, max_batch_size=4, room=limits) as (batcher, _):
        batcher._room.image_s = 1.5  # as if images took so many seconds each
        futures = [submit(batcher, 0, client="greedy", within_s=1_000)]
        await entered(device)
        batcher._room.busy_until = 0.0
        futures += [submit(batcher, 1, client="polite"), submit(batcher, 2, client="greedy")]
        futures += [submit(batcher, 3, client="another", priority=LOW)]
        with pytest.raises(ClientLimit):
            submit(batcher, 4, client="greedy")
        device.open.set()
        await asyncio.gather(*futures)

    assert device.batches == [[0], [1, 3], [2]]


GREEDY = {"capacity": 8, "client_share": 0.5, "max_queue_s": 4.0}


async def test_a_newcomer_goes_before_what_is_beyond_a_share() -> None:
    """And takes its place where there is none left; the client that held it keeps its share, and its order."""
    device = Device(held=True)
    async with running(device, max_batch_size=4, room=GREEDY) as (batcher, _):
        futures = [submit(batcher, 0, client="greedy")]
        await entered(device)
        futures += [submit(batcher, value, client="greedy") for value in range(1, 8)]
        last = submit(batcher, 8, client="greedy")
        with pytest.raises(Overloaded, match="the queue is full"):
            submit(batcher, 9, client="greedy")

        futures.append(submit(batcher, 100, client="polite"))

        with pytest.raises(Overloaded, match="goes first"):
            await last
        device.open.set()
        await asyncio.gather(*futures)

    assert device.batches == [[0], [1, 2, 3, 4], [100], [5], [6], [7]]


async def test_a_client_alone_fills_its_batches() -> None:
    """What is beyond its share, too."""
    device = Device(held=True)
    async with running(device, max_batch_size=4, room=GREEDY) as (batcher, _):
        futures = [submit(batcher, 0, client="greedy")]
        await entered(device)
        futures += [submit(batcher, value, client="greedy") for value in range(1, 9)]
        device.open.set()
        await asyncio.gather(*futures)

    assert device.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]


async def test_nobody_overtakes_what_is_his_own() -> None:
    """Who has something behind everybody queues up there until it is gone."""
    device = Device(held=True)
    async with running(device, max_batch_size=8, room=GREEDY) as (batcher, _):
        futures = [submit(batcher, 0, client="greedy")]
        await entered(device)
        futures += [submit(batcher, value, client="greedy") for value in range(1, 7)]
        batcher.abandon(futures[1:4])

        futures.append(submit(batcher, 7, client="greedy"))

        assert batcher._queue.behind == {"greedy": 3}
        device.open.set()
        done = await asyncio.gather(*futures, return_exceptions=True)

    assert device.batches == [[0], [4, 5, 6, 7]]
    assert batcher._queue.behind == {}
    assert len([one for one in done if isinstance(one, BaseException)]) == 3


async def test_who_used_too_much_alone_is_put_behind_when_another_comes() -> None:
    """With all that already waits, in its order, though it was within its share: nobody asked when it came."""
    device = Device(held=True)
    async with running(device, max_batch_size=4, room={**GREEDY, "capacity": 20}) as (batcher, _):
        batcher._room.image_s = 1.5  # as if images took so many seconds each
        futures = [submit(batcher, 0, client="greedy")]
        await entered(device)
        batcher._room.busy_until, batcher._room.image_s = 0.0, 0.3
        futures += [submit(batcher, value, client="greedy") for value in range(1, 5)]
        assert batcher._queue.behind == {}

        futures += [submit(batcher, value, client="polite") for value in (100, 101)]
        device.open.set()
        await asyncio.gather(*futures)

    assert device.batches == [[0], [100, 101], [1], [2], [3], [4]]
