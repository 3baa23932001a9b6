"""Leaving without losing a request: on SIGTERM a worker says that it is not ready, serves on, then lets uvicorn end.

Load balancers notice a failing readiness only after a while; a worker that stops accepting at once loses what they
still send. uvicorn has no hook for this, so its own signal handler is taken over, and is called when the delay is
over. This depends on how uvicorn is made and fails loudly when that changes.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from service.settings import Settings

logger = logging.getLogger("convserve.drain")


class Drain:
    """Whether this worker is leaving, and the signal handler that makes it so."""

    def __init__(self, settings: Settings) -> None:
        self._delay_s = settings.drain_delay_s
        self._grace_s = settings.drain_grace_s
        self.draining = False

    def take_over(self, server: Any, begins: Callable[[], None]) -> None:
        """Put our handlers before uvicorn's; *begins* is called when the worker begins to leave."""
        loop = asyncio.get_running_loop()
        handler: Any = server.handle_exit
        server.config.timeout_graceful_shutdown = self._grace_s

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self.draining:  # told twice: now
                server.force_exit = True
            if self.draining or server.should_exit:  # SIGINT came first: no delay
                handler(number, frame)
                return
            self.draining = True
            loop.call_soon_threadsafe(self._begin, loop, server, handler, begins)

        def on_sigint(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(begins)
            handler(number, frame)

        signal.signal(signal.SIGTERM, on_sigterm)
        signal.signal(signal.SIGINT, on_sigint)

    def _begin(self, loop: asyncio.AbstractEventLoop, server: Any, handler: Any, begins: Callable[[], None]) -> None:
        logger.info("draining: not ready from now on, serving for another %g s", self._delay_s)

        def end() -> None:
            if not server.should_exit:
                handler(signal.SIGTERM, None)

        loop.call_later(self._delay_s, end)
        begins()
