"""Restarts that nobody notices: an instance is ready beside the one that goes."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.overload import openloop
from benchmarks.overload.client import Answer, Client, Request, get
from benchmarks.overload.site import Target, pinned

_POLL_S = 0.02
_READINESS = get("/readyz")


class Switch:
    """What a load balancer is: sends to an instance that said it was ready when it was last asked."""

    def __init__(self) -> None:
        self.ready: list[Client] = []
        self._probes: dict[int, Client] = {}
        self._clients: dict[int, Client] = {}

    def add(self, port: int) -> None:
        """Watch an instance from now on."""
        self._clients[port] = Client(port, "127.0.0.5")
        self._probes[port] = Client(port, "127.0.0.6")

    def remove(self, port: int) -> None:
        """Forget one that is gone."""
        self._clients.pop(port).close()
        self._probes.pop(port).close()

    async def watch(self) -> None:
        """Ask all for ever."""
        while True:
            asked = list(self._probes.items())
            answers = await asyncio.gather(*(probe.send(_READINESS) for _, probe in asked))
            self.ready = [
                self._clients[port]
                for (port, _), answer in zip(asked, answers, strict=True)
                if answer.status == 200 and port in self._clients
            ]
            await asyncio.sleep(_POLL_S)

    async def ready_at(self, port: int) -> None:
        """Wait until that instance is sent to."""
        while all(client.port != port for client in self.ready):  # noqa: ASYNC110 (the watch polls as well)
            await asyncio.sleep(_POLL_S)

    async def send(self, request: Request) -> Answer:
        """Send to the newest that is ready."""
        return await self.ready[-1].send(request) if self.ready else Answer(0)


async def restarts(target: Target, store: Path, *, cycles: int, requests: int, rate: float) -> dict[str, Any]:
    """Replace the serving instance so many times under load: start another, wait for it, SIGTERM the one before."""
    switch = Switch()
    switch.add(target.port)
    watching = asyncio.create_task(switch.watch())
    await switch.ready_at(target.port)
    seconds = 1.01 * requests / rate  # arrivals are random: a little longer, so that they are enough
    load = asyncio.create_task(
        openloop.run([switch.send], target.requests(), target.is_right, rate=rate, seconds=seconds)
    )
    instances: list[contextlib.AsyncExitStack] = []
    for cycle in range(cycles):
        ends_at = asyncio.get_running_loop().time() + seconds / cycles
        instance = contextlib.AsyncExitStack()
        port = await instance.enter_async_context(_instance(store, target.model))
        switch.add(port)
        await switch.ready_at(port)
        if cycle:
            await instances.pop().aclose()  # SIGTERM, and until it has ended
        else:
            os.kill(target.arbiter, signal.SIGTERM)
        instances.append(instance)
        await asyncio.sleep(max(0.0, ends_at - asyncio.get_running_loop().time()))
    summary = (await load).summary()
    watching.cancel()
    await instances.pop().aclose()
    failed = summary["requests"] - round(summary["success"] * summary["requests"])
    return {"cycles": cycles, "failed": failed, **summary}


@contextlib.asynccontextmanager
async def _instance(store: Path, model: str) -> AsyncIterator[int]:
    manager = pinned(model_store=store / model, default_model=model, drain_delay_s=1)
    port, _ = await asyncio.to_thread(manager.__enter__)
    try:
        yield port
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
