"""Restarts that nobody notices, a long mixed run whose memory does not grow, names that become no metric."""

import asyncio
import contextlib
import os
import random
import signal
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.overload import openloop
from benchmarks.overload.client import Answer, Client, get, post
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

    async def send(self, request: bytes) -> Answer:
        """Send to the newest that is ready."""
        return await self.ready[-1].send(request) if self.ready else Answer(0)


async def restarts(target: Target, store: Path, *, cycles: int, requests: int, rate: float) -> dict[str, Any]:
    """Replace the serving instance so many times under load: start another, wait for it, SIGTERM the one before."""
    switch = Switch()
    switch.add(target.port)
    watching = asyncio.create_task(switch.watch())
    await switch.ready_at(target.port)
    seconds = requests / rate
    load = asyncio.create_task(
        openloop.run([switch.send], target.requests(), target.is_right, rate=rate, seconds=seconds)
    )
    instances: list[contextlib.AsyncExitStack] = []
    for cycle in range(cycles):
        ends_at = asyncio.get_running_loop().time() + seconds / cycles
        instance = contextlib.AsyncExitStack()
        port = await instance.enter_async_context(_instance(store))
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
async def _instance(store: Path) -> AsyncIterator[int]:
    manager = pinned(model_store=store, drain_delay_s=1)
    port, _ = await asyncio.to_thread(manager.__enter__)
    try:
        yield port
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def mixed(target: Target, *, requests: int, rate: float) -> dict[str, Any]:
    """Send valid and faulty requests; return what came and how the memory grew in the second half."""
    image = target.images[0]
    faulty = [
        post(b"no image"),
        post(image[:-30]),
        post(image, "/v1/classify?top_k=0"),
        post(image, "/v1/classify?model=nobody"),
        post(image, "/v1/classify", "Content-Type: text/html"),
        post(image, "/v1/classify", "Content-Encoding: gzip"),
        post(b"--b\r\n\r\n", "/v1/classify", "Content-Type: multipart/form-data; boundary=b"),
        b"GET /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        post(_bomb(65_535)),
        get("/nowhere"),
        post(b"\x89PNG\r\n\x1a\n" + bytes(3_000)),
    ]
    valid = target.requests()
    stream = [valid[n % len(valid)] if n % 2 else faulty[n // 2 % len(faulty)] for n in range(16 * 12 * 2)]
    clients = target.clients(4)
    sizes, statuses = [], Counter[int]()
    parts = 10
    for part in range(parts):
        step = await openloop.run(
            [client.send for client in clients],
            stream,
            lambda _, answer: answer.status == 200,
            rate=rate,
            seconds=requests / rate / parts,
            seed=part,
        )
        statuses.update(one.status for one in step.records)
        sizes.append(target.rss_bytes())
    for client in clients:
        client.close()
    half = max(sizes[: parts // 2])
    grown = (max(sizes[parts // 2 :]) - half) / 2**20
    return {"requests": sum(statuses.values()), "statuses": dict(statuses), "second_half_mib": round(grown, 2)}


def _bomb(side: int) -> bytes:
    """Return a PNG that says that it is so large, and no more."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


async def names(target: Target, *, requests: int) -> dict[str, Any]:
    """Invent paths, models and classes; return how many series of metrics there were before and after."""
    chance, client, image = random.Random(0), target.clients(1)[0], target.images[0]  # noqa: S311

    async def invent(rounds: int) -> int:
        for _ in range(rounds):
            word = f"{chance.getrandbits(64):x}"
            await client.send(get(f"/{word}"))
            await client.send(get(f"/v1/models/{word}"))
            headers = (f"X-Client-ID: {word}", f"X-Request-ID: {word}")
            await client.send(post(image, f"/v1/classify?model={word}", *headers))
        return len(target.metrics())

    before = await invent(1)  # the first 404 of a route makes its series
    after = await invent(requests // 3)
    client.close()
    return {"requests": requests, "series_before": before, "series_after": after}
