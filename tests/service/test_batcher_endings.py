"""service/batcher.py: every way in which the wait of an image can end other than well, and how the batcher ends."""

import asyncio
from time import perf_counter

import numpy as np
import pytest

from service.errors import DeadlinePassed, InferenceFailed, NotReady
from tests.service.device import Device, claim, entered, running, submit

SOON = 0.03  # seconds from now


async def test_a_deadline_that_passes_in_the_queue_ends_the_wait() -> None:
    """The image is never run, and its place is free at once."""
    device = Device(held=True)
    async with running(device, room={"capacity": 1}) as (batcher, seen):
        held = submit(batcher, 0)
        await entered(device)
        late = submit(batcher, 1, within_s=SOON)

        with pytest.raises(DeadlinePassed, match="in the queue"):
            await late
        following = submit(batcher, 2)

        device.open.set()
        await asyncio.gather(held, following)

    assert device.batches == [[0], [2]]
    assert seen.depths[-1] == 0


async def test_a_batch_is_answered_though_it_cannot_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when there is no memory for another series."""
    device = Device()
    async with running(device) as (batcher, seen):

        def fail(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(seen, "batch", fail)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with asyncio.timeout(10):
            await asyncio.gather(submit(batcher, 0), submit(batcher, 1))
            await submit(batcher, 2)


async def test_a_deadline_that_passes_at_the_device_ends_the_wait() -> None:
    """A stuck device does not keep its clients; others wait on."""
    device = Device(held=True)
    async with running(device) as (batcher, _):
        impatient, patient = submit(batcher, 0, within_s=SOON), submit(batcher, 1)

        with pytest.raises(DeadlinePassed, match="at the device"):
            await impatient

        device.open.set()
        assert int((await patient).logits[0]) == 1


async def test_deadlines_are_kept_whatever_their_order() -> None:
    """A later request may be in more of a hurry."""
    device = Device(held=True)
    async with running(device) as (batcher, _):
        held = submit(batcher, 0)
        await entered(device)
        slow, quick = submit(batcher, 1, within_s=SOON * 3), submit(batcher, 2, within_s=SOON)

        with pytest.raises(DeadlinePassed):
            await quick
        assert not slow.done()
        with pytest.raises(DeadlinePassed):
            await slow

        device.open.set()
        await held


async def test_an_image_that_nobody_waits_for_is_not_run() -> None:
    """A cancelled future leaves its place to the next."""
    device = Device(held=True)
    async with running(device) as (batcher, seen):
        held = submit(batcher, 0)
        await entered(device)
        gone, staying = submit(batcher, 1), submit(batcher, 2)
        gone.cancel()

        device.open.set()
        await asyncio.gather(held, staying)

    assert device.batches == [[0], [2]]
    assert seen.gone == ["queue"]


async def test_the_answer_of_a_running_image_that_nobody_waits_for_is_dropped() -> None:
    """Its neighbours get theirs."""
    device = Device(held=True)
    async with running(device) as (batcher, seen):
        gone, staying = submit(batcher, 0), submit(batcher, 1)
        await entered(device)
        gone.cancel()
        device.open.set()

        assert int((await staying).logits[0]) == 1

    assert seen.gone == ["inference"]


async def test_a_batch_that_fails_fails_alone() -> None:
    """Every one of its images gets an error of its own, the next batch is run."""
    device = Device(held=True, fails=lambda values: 0 in values)
    async with running(device) as (batcher, seen):
        bad = [submit(batcher, value) for value in (0, 1)]
        await entered(device)
        good = submit(batcher, 2)
        device.open.set()

        outcomes = await asyncio.gather(*bad, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [InferenceFailed, InferenceFailed]
        assert outcomes[0] is not outcomes[1]  # a shared exception would share its traceback
        assert int((await good).logits[0]) == 2

    assert seen.failures == [2]
    assert seen.batches == [1]


async def test_images_of_another_shape_fail_their_batch_and_no_more() -> None:
    """Stacking happens where an exception can be caught."""
    device = Device()
    async with running(device) as (batcher, _):
        batcher.reserve(2, claim())
        futures = [batcher.submit(np.zeros(shape, np.uint8), claim()) for shape in ((1, 1, 1), (2, 2, 1))]

        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(outcome, InferenceFailed) for outcome in outcomes)
        assert int((await submit(batcher, 3)).logits[0]) == 3


async def test_in_the_loop_a_batch_that_fails_fails_alone_too() -> None:
    """Without a thread the same rules hold."""
    async with running(Device(fails=lambda values: 0 in values), in_loop=True, max_batch_size=2) as (batcher, seen):
        outcomes = await asyncio.gather(*(submit(batcher, value) for value in range(4)), return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == [
        "InferenceFailed",
        "InferenceFailed",
        "Answer",
        "Answer",
    ]
    assert (seen.failures, seen.batches) == ([2], [2])


async def test_stopping_answers_what_was_admitted_and_refuses_the_rest() -> None:
    """Nothing is lost, nothing is let in."""
    device = Device(held=True)
    async with running(device, max_batch_size=1) as (batcher, _):
        futures = [submit(batcher, value) for value in range(3)]
        await entered(device)
        stopping = asyncio.create_task(batcher.stop(5))
        await asyncio.sleep(0)

        with pytest.raises(NotReady, match="shutting down"):
            submit(batcher, 9)
        device.open.set()
        await stopping

        assert [int(future.result().logits[0]) for future in futures] == [0, 1, 2]


async def test_stopping_does_not_wait_for_a_stuck_device_for_ever() -> None:
    """The time that it may take is an argument."""
    device = Device(held=True)
    async with running(device) as (batcher, _):
        stuck = submit(batcher, 0)
        await entered(device)

        await batcher.stop(0.05)

        assert not stuck.done()
        device.open.set()
        await stuck


async def test_times_add_up() -> None:
    """Queue time ends where inference begins."""
    device = Device(held=True)
    async with running(device) as (batcher, _):
        began = perf_counter()
        future = submit(batcher, 0)
        await entered(device)
        running_since = perf_counter()
        opened = perf_counter()
        device.open.set()
        answer = await future
        took = perf_counter() - began

    assert answer.inference_s >= opened - running_since
    assert answer.queue_s >= 0
    assert answer.queue_s + answer.inference_s <= took
