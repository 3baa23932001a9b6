"""Everything that is written down of classified requests: for feedback, and as a log. Nothing, unless asked for."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from service.catalog import Catalog
from service.families import RECORDS_DROPPED
from service.metrics import Metrics
from service.records.feedback import Feedback
from service.records.outcome import Answered
from service.records.request_log import RequestLog
from service.settings import Settings

logger = logging.getLogger("convserve.records")


class Records:
    """The records of one worker."""

    def __init__(self, settings: Settings, catalog: Catalog, metrics: Callable[[], Metrics]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._feedback = Feedback(settings, catalog, metrics)
        self._log: RequestLog | None = None
        self.routes = self._feedback.routes

    @property
    def note(self) -> Callable[[Answered], None] | None:
        """What is to hear of classified requests, None if nothing is."""
        return self._note if self._settings.feedback or self._settings.request_log is not None else None

    async def start(self) -> None:
        """Begin to record what is to be recorded."""
        if self._settings.request_log is not None:
            self._log = RequestLog(self._settings, self._metrics().series(RECORDS_DROPPED, "request_log").add)
        try:
            await asyncio.to_thread(self._feedback.start)
        except sqlite3.Error as error:  # classifying goes on without
            logger.error("feedback cannot be recorded: %s", error)  # noqa: TRY400 (the line says it all)

    async def stop(self, timeout_s: float) -> None:
        """Write what is queued, as far as that is possible in time."""
        stops = [self._feedback.stop, *([self._log.stop] if self._log is not None else [])]
        await asyncio.gather(*(asyncio.to_thread(stop, timeout_s) for stop in stops))

    def _note(self, answered: Answered) -> None:
        self._feedback.note(answered)
        if self._log is not None:
            self._log.note(answered)
