"""Runs the exchanges of one connection, one after the other, all in one task: one each costs a microsecond more."""

import asyncio

from service.connections import Connections
from service.exchange import Exchange


class Runner:
    """The task of one connection; it lives from the first exchange until it is closed."""

    __slots__ = ("_all", "_closed", "_next", "_task", "_wanted")

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._task: asyncio.Task[None] | None = None
        self._next: Exchange | None = None
        self._wanted: asyncio.Future[None] | None = None  # while it waits for the next
        self._closed = False

    def start(self, exchange: Exchange) -> None:
        """Run an exchange as soon as the one before it has returned."""
        self._next = exchange
        if self._task is None:
            self._task = self._all.loop.create_task(self._run())
        else:
            self._wake()
        exchange.task = self._task
        self._all.state.tasks.add(self._task)

    def ended(self) -> None:
        """Hear that an exchange is over: unless another is there, uvicorn need not wait for this task."""
        if self._next is None:
            self._all.state.tasks.discard(self._task)

    def close(self) -> None:
        """Run nothing any more; what runs is not touched."""
        self._closed = True
        self._wake()

    async def _run(self) -> None:
        while not self._closed or self._next is not None:
            if self._next is None:
                self._wanted = self._all.loop.create_future()
                await self._wanted
                self._wanted = None
            else:
                exchange, self._next = self._next, None
                await exchange.run(self._all.application)
                exchange.task = None  # it leads back here
                del exchange
                if self._next is not None:  # it came pipelined: first let other clients have their turn
                    await asyncio.sleep(0)

    def _wake(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
