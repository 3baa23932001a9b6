"""Writes records in a thread, many at once, so that no request waits for a disk; what does not fit is dropped."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

logger = logging.getLogger("convserve.records")
INTERVAL_S: Final = 0.2
CAPACITY: Final = 10_000
Record = TypeVar("Record")


class Writer(Generic[Record]):
    """A bounded queue before *write*, which is called in the thread; *dropped* hears how many records were lost."""

    def __init__(
        self,
        name: str,
        write: Callable[[list[Record]], None],
        dropped: Callable[[float], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._write = write
        self._dropped = dropped
        self._capacity = capacity
        self._queue: deque[Record] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def put(self, record: Record) -> None:
        """Queue a record, or count it as dropped; never blocks. The thread starts with the first one."""
        if len(self._queue) >= self._capacity:
            self._dropped(1)
            return
        self._queue.append(record)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread.ident is None:
                self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Write what is queued, as far as that is possible in time."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._stopping.wait(INTERVAL_S)  # for more to come
            self._wake.clear()
            records = [self._queue.popleft() for _ in range(len(self._queue))]
            if records:
                self._write_all(records)
            if self._stopping.is_set() and not self._queue:
                return

    def _write_all(self, records: list[Record]) -> None:
        try:
            self._write(records)
            self._failing = False
        except Exception:  # a full disk, say: it may have room again later
            self._dropped(len(records))
            if not self._failing:
                logger.exception("%d records could not be written; said once until it works again", len(records))
            self._failing = True
