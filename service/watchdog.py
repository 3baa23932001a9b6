"""Ends a worker that is stuck: its device does not finish a batch, or its event loop does not turn any more.

Nothing can be done about a hung kernel or driver from inside the process. First `/livez` fails, which tells whoever
watches; a little later the process ends itself, and what started it starts it again.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from time import perf_counter

from service import logs

logger = logging.getLogger("convserve.watchdog")

GRACE_S = 5.0  # from failing /livez to the end, so that the failure can be seen
EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h
_LOOKS = 10  # times within the limit that it looks
_LAST_WORDS_S = 1.0


class Watchdog:
    """A thread that looks at the loop's pulse and at what the devices are busy with.

    *busy_since* yields, for each device that runs a batch, when that began (on the clock of `time.perf_counter`).
    """

    def __init__(
        self,
        limit_s: float,
        busy_since: Callable[[], Iterable[float]],
        on_stuck: Callable[[], None],
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._limit_s = limit_s
        self._busy_since = busy_since
        self._on_stuck = on_stuck
        self._end = end
        self._look_s = min(1.0, limit_s / _LOOKS)
        self._pulse = perf_counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.stuck = False

    def start(self) -> None:
        """Begin to look; called in the event loop."""
        self._beat(asyncio.get_running_loop())
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def well(self) -> bool:
        """Tell whether nothing is stuck."""
        return not self.stuck

    def stuck_s(self) -> float:
        """Return for how long the loop, or the device that has been busy longest, has given no sign."""
        now = perf_counter()
        return now - min([self._pulse + self._look_s, *self._busy_since()])

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pulse = perf_counter()
        if not self._stop.is_set():
            loop.call_later(self._look_s, self._beat, loop)

    def _watch(self) -> None:
        before = 0.0  # two looks must agree: the whole process may have been stopped for a while
        while not self._stop.wait(self._look_s):
            now = self.stuck_s()
            certain_s, before = min(now, before), now
            if certain_s > self._limit_s and not self.stuck:
                logger.critical("stuck for %.1f s: not alive any more", now)
                self._on_stuck()
            self.stuck = certain_s > self._limit_s
            if certain_s > self._limit_s + GRACE_S:
                logger.critical("stuck for %.1f s: this worker ends itself", now)
                logs.finish(_LAST_WORDS_S)
                self._end(EXIT_STATUS)
                return
