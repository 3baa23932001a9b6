"""service/records/writer.py: nothing that is queued is lost in silence."""

import logging
import threading

import pytest

from service.records.writer import Writer


def test_everything_is_written_in_order() -> None:
    """Up to the last record before the end."""
    written: list[int] = []
    writer: Writer[int] = Writer("test", written.extend, lambda _: None)
    for number in range(1000):
        writer.put(number)
    writer.stop(10)

    assert written == list(range(1000))


def test_what_does_not_fit_is_counted() -> None:
    """While the disk is busy; what was queued is written later."""
    busy, go_on = threading.Event(), threading.Event()
    written: list[int] = []
    dropped: list[float] = []

    def write(records: list[int]) -> None:
        busy.set()
        go_on.wait(10)
        written.extend(records)

    writer = Writer("test", write, dropped.append, capacity=2)
    writer.put(0)
    assert busy.wait(10)
    for number in (1, 2, 3, 4):
        writer.put(number)
    go_on.set()
    writer.stop(10)

    assert written == [0, 1, 2]
    assert dropped == [1, 1]


def test_what_cannot_be_written_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """The next records are tried again."""
    tries = threading.Semaphore(0)
    dropped: list[float] = []

    def write(_: list[int]) -> None:
        tries.release()
        raise OSError("no space left on device")

    writer: Writer[int] = Writer("test", write, dropped.append)
    with caplog.at_level(logging.ERROR, "convserve.records"):
        for number in range(2):
            writer.put(number)
            assert tries.acquire(timeout=10)
        writer.stop(10)

    assert sum(dropped) == 2
    assert len(caplog.records) == 1


def test_ending_what_never_began_takes_no_time() -> None:
    """Without a record there is no thread."""
    writer: Writer[int] = Writer("test", lambda _: None, lambda _: None)

    writer.stop(0)

    assert writer._thread.ident is None
