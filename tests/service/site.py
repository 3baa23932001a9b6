"""Routes behind the guard and the protocol on a loopback port, and a client that sends bytes as told."""

import asyncio
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service.connections import Connections, HttpLimits
from service.errors import ClientLimit
from service.guard import Guard
from service.http import Request, Response, Route
from service.metrics import Metrics
from service.protocol import Connection
from service.settings import Settings

DATE = (b"date", b"Sat, 21 Nov 2026 22:22:03 GMT")


class Site:
    """Routes that tests hold in their hand, behind the guard and the protocol, on a loopback port."""

    def __init__(self, limits: HttpLimits, settings: dict[str, Any]) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.refuses = False
        self.cancelled = asyncio.Event()
        routes = (
            Route("/echo", {"POST": self.echo}, takes_body=True),
            Route("/where", {"GET": self.where}),
            Route("/wait", {"GET": self.wait, "POST": self.wait}, takes_body=True),
            Route("/long", {"GET": self.long}),
            Route("/huge", {"GET": self.huge}),
            Route("/greedy", {"GET": self.greedy}),
        )
        self.guard = Guard(routes, Metrics(routes), Settings(**settings), lambda: False)
        self.state = types.SimpleNamespace(connections=set(), tasks=set(), total_requests=0, default_headers=[DATE])
        self.connections = Connections(self.state, self.guard, limits, asyncio.get_running_loop())
        self.port = 0

    async def echo(self, request: Request) -> Response:
        return Response(request.body)

    async def where(self, request: Request) -> Response:
        return Response(f"{request.method} {request.path} {request.query.decode()}".encode())

    async def wait(self, request: Request) -> Response:
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return Response(b"waited")

    async def greedy(self, request: Request) -> Response:
        if self.refuses:
            raise ClientLimit("3 of your images wait", retry_after_s=1)
        return Response(b"served")

    async def long(self, request: Request) -> Response:
        return Response(bytes(4_000_000))

    async def huge(self, request: Request) -> Response:
        return Response(bytes(40_000_000))  # more than any system takes by itself


@asynccontextmanager
async def serving(limits: HttpLimits | None = None, **settings: Any) -> AsyncIterator[Site]:
    """A site that listens."""
    site = Site(limits or HttpLimits(), settings)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site.connections), "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for connection in list(site.connections.open):
            connection._transport.abort()  # type: ignore[attr-defined]
        while site.state.tasks:
            await asyncio.sleep(0)


async def talk(site: Site, *pieces: bytes) -> bytes:
    """Send pieces, each on its own, then listen until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(body: bytes, *headers: str) -> bytes:
    """A POST to /echo with its length declared."""
    lines = ["POST /echo HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CLOSE = "Connection: close"


def statuses(answer: bytes) -> list[int]:
    """The status codes in what a connection gave."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
