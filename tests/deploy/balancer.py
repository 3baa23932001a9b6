"""Load through a tiny switch: it polls `/readyz` of its endpoints as a load balancer would, and never retries.

A request goes to a random endpoint that was ready at the last look, on a kept connection if there is one. Whatever
does not come back as 200 with the right label is lost.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

LOOK_S = 0.2  # how often a load balancer looks
_TIMEOUT_S = 30


@dataclass
class Balancer:
    """The ports of its endpoints on loopback, those that are ready, and what became of the requests."""

    ports: list[int]
    body: bytes
    expected: bytes
    ready: set[int] = field(default_factory=set)
    answered: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Requests that have come to an end."""
        return self.answered.total() + len(self.lost)

    async def look(self) -> None:
        """Ask every endpoint for its readiness, for ever."""
        while True:
            for port in self.ports:
                with contextlib.suppress(OSError, EOFError, TimeoutError):
                    answer = await asyncio.wait_for(_ask(port, b"GET /readyz HTTP/1.1\r\nHost: switch\r\n\r\n"), 2)
                    if answer.startswith(b"HTTP/1.1 200"):
                        self.ready.add(port)
                        continue
                self.ready.discard(port)
            await asyncio.sleep(LOOK_S)

    async def send(self, requests: int, senders: int) -> None:
        """Send so many requests from so many senders at once; each has one request open at a time."""
        looking = asyncio.create_task(self.look())
        remaining = iter(range(requests))
        try:
            async with asyncio.TaskGroup() as group:
                for seed in range(senders):
                    group.create_task(self._sender(remaining, random.Random(seed)))
        finally:
            looking.cancel()

    async def _sender(self, remaining: Iterator[int], choice: random.Random) -> None:
        head = f"POST /v1/classify?top_k=1 HTTP/1.1\r\nHost: switch\r\nContent-Length: {len(self.body)}\r\n\r\n"
        request = head.encode() + self.body
        kept: dict[int, _Connection] = {}
        for _ in remaining:
            while not self.ready:
                await asyncio.sleep(LOOK_S / 4)
            for port in kept.keys() - self.ready:  # a load balancer keeps no connection to what is not ready
                kept.pop(port).close()
            port = choice.choice(sorted(self.ready))
            try:
                connection = kept.pop(port, None) or await _Connection.open(port)
                answer = await asyncio.wait_for(connection.ask(request), _TIMEOUT_S)
            except (OSError, EOFError, TimeoutError) as error:
                self.lost.append(f"{port}: {error!r}")
                continue
            if b"connection: close" in answer.lower():
                connection.close()
            else:
                kept[port] = connection
            if answer.startswith(b"HTTP/1.1 200") and self.expected in answer:
                self.answered[port] += 1
            else:
                self.lost.append(f"{port}: {answer[:200]!r}")
        for connection in kept.values():
            connection.close()


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the whole answer, headers included."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        return head + await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


async def _ask(port: int, request: bytes) -> bytes:
    connection = await _Connection.open(port)
    try:
        return await connection.ask(request)
    finally:
        connection.close()
