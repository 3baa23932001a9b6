"""service/watchdog.py, with an end that only notes itself."""

import asyncio
import threading
import time
from time import perf_counter

import pytest

from service import watchdog
from service.watchdog import EXIT_STATUS, Watchdog

LIMIT_S = 0.1


class End:
    """What would end the process."""

    def __init__(self) -> None:
        self.happened = threading.Event()
        self.status: int | None = None

    def __call__(self, status: int) -> None:
        self.status = status
        self.happened.set()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that tests end."""
    monkeypatch.setattr(watchdog, "GRACE_S", 0.1)


async def test_a_stuck_device_ends_the_worker() -> None:
    """First it says so, then it ends."""
    end, began = End(), perf_counter()
    watch = Watchdog(LIMIT_S, lambda: [began], lambda: None, end)
    watch.start()
    async with asyncio.timeout(10):
        while not watch.stuck:
            await asyncio.sleep(0.005)
        said_after_s = perf_counter() - began
        await asyncio.to_thread(end.happened.wait)

    assert said_after_s > LIMIT_S
    assert perf_counter() - began > LIMIT_S + 0.1
    assert end.status == EXIT_STATUS


async def test_devices_that_finish_and_a_loop_that_turns_are_well() -> None:
    """However long it has been running, and however busy."""
    end = End()
    watch = Watchdog(LIMIT_S, lambda: [perf_counter() - LIMIT_S / 2], lambda: None, end)
    watch.start()
    await asyncio.sleep(4 * LIMIT_S)
    watch.stop()

    assert not watch.stuck
    assert not end.happened.is_set()


async def test_a_loop_that_does_not_turn_ends_the_worker() -> None:
    """Nobody could be answered, not even /livez."""
    end = End()
    watch = Watchdog(LIMIT_S, list, lambda: None, end)
    watch.start()

    deadline = perf_counter() + 10
    while not end.happened.is_set() and perf_counter() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 (what is tested)

    assert end.status == EXIT_STATUS


async def test_who_recovers_stays() -> None:
    """Being stuck ends with the batch."""
    end, began = End(), perf_counter()
    busy = [began]
    watch = Watchdog(LIMIT_S, lambda: busy, lambda: None, end)
    watch.start()
    async with asyncio.timeout(10):
        while not watch.stuck:
            await asyncio.sleep(0.002)
        busy.clear()
        while watch.stuck:
            await asyncio.sleep(0.002)
    watch.stop()

    assert not end.happened.is_set()
