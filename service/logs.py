"""Log lines of the service: one JSON object an event on standard error, so that nothing in a message can forge one.

Lines are written by a thread of their own: a blocked pipe, as of a stopped log collector, must not hold up a request.
What does not fit into the queue meanwhile is dropped and counted.
"""

import json
import logging
import queue
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any

_QUEUE_LINES = 10_000
PATH_CHARACTERS = 256  # of a path, which may have 8 KiB, six times as much when it is escaped
_REFUSALS_S = 10.0  # one line a reason and so many seconds
_CONFIGURED_BY_OTHERS = ("uvicorn", "uvicorn.error", "bentoml", "asyncio", "py.warnings")

refusal_logger = logging.getLogger("convserve.refused")
access_logger = logging.getLogger("convserve.access_log")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, logger, worker's pid, message, fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event)


class ThreadedHandler(logging.Handler):
    """Writes lines to standard error in a thread, which it starts with the first one."""

    def __init__(self, capacity: int = _QUEUE_LINES) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(capacity)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line; never blocks."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # a record that can't be formatted must not fail a request
            self._dropped += 1
        if self._thread.ident is None:
            self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Write what is queued, as far as that is possible in time."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=timeout_s)
            except queue.Full:
                return
            self._thread.join(timeout_s)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                gap = logging.LogRecord("convserve.logs", logging.WARNING, "", 0, "%d lines dropped", (dropped,), None)
                line += "\n" + self.format(gap)
            try:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            except (OSError, ValueError):  # whoever read the log is gone; nobody is left to be told
                continue


class Refusals:
    """Notes refused requests: the first of each reason, then how many more there were in each interval."""

    def __init__(self) -> None:
        self._next_at: dict[str, float] = {}
        self._more: dict[str, int] = {}

    def note(self, code: str, **fields: Any) -> None:
        """Log one refusal, or count it."""
        now = monotonic()
        if now < self._next_at.get(code, 0.0):
            self._more[code] += 1
            return
        more = self._more.get(code, 0)
        self._next_at[code] = now + _REFUSALS_S
        self._more[code] = 0
        refusal_logger.info("refused: %s", code, extra={"fields": {"code": code, "more_since_last": more, **fields}})


def log_access(scope: MutableMapping[str, Any], route: str, request_id: str, **fields: Any) -> None:
    """Log an answered request."""
    path = scope["path"][:PATH_CHARACTERS]
    request = {"request_id": request_id, "method": scope["method"], "route": route, "path": path}
    access_logger.info("answered", extra={"fields": request | fields})


def configure(*, whole_process: bool) -> None:
    """Send the project's log to standard error, and switch off uvicorn's access log, which costs every request.

    *whole_process* takes over what BentoML and uvicorn log as well, and writes in a thread.
    """
    root = logging.getLogger("convserve")
    root.setLevel(logging.INFO)
    root.propagate = False
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each bad form, which clients send
    if whole_process:
        handler: logging.Handler = ThreadedHandler()
        for name in _CONFIGURED_BY_OTHERS:
            other = logging.getLogger(name)
            other.handlers = [handler]
            other.propagate = False
        logging.getLogger().handlers = [handler]
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root.handlers = [handler]


def finish(timeout_s: float) -> None:
    """Let the thread write what is queued."""
    for handler in logging.getLogger("convserve").handlers:
        if isinstance(handler, ThreadedHandler):
            handler.finish(timeout_s)
