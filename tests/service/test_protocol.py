"""service/protocol.py and service/exchange.py, on real sockets: what a client may send, and how it can end."""

import asyncio
import math
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.connections import Connections, HttpLimits
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
        self.cancelled = asyncio.Event()
        routes = (
            Route("/echo", {"POST": self.echo}, takes_body=True),
            Route("/where", {"GET": self.where}),
            Route("/wait", {"GET": self.wait}),
            Route("/long", {"GET": self.long}),
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

    async def long(self, request: Request) -> Response:
        return Response(bytes(4_000_000))


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


async def test_a_request_is_answered_with_head_and_body() -> None:
    """Status line, the server's date, the application's headers, the body."""
    async with serving() as site:
        answer = await talk(site, post(b"hello", CLOSE))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 22:22:03 GMT\r\n")
    assert b"\r\ncontent-length: 5" in head
    assert b"\r\nconnection: close" in head
    assert body == b"hello"


async def test_a_request_may_come_in_any_pieces() -> None:
    """Byte by byte it is the same request."""
    async with serving() as site:
        whole = post(b"hello", CLOSE)
        answer = await talk(site, *(whole[i : i + 1] for i in range(len(whole))))

    assert answer.endswith(b"\r\n\r\nhello")


async def test_chunked_bodies_are_read() -> None:
    """However they are cut."""
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{CLOSE}\r\n\r\n".encode()
    async with serving() as site:
        answer = await talk(site, head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nabcde")


async def test_a_large_body_does_not_pile_up() -> None:
    """More than the high-water mark comes through whole."""
    body = bytes(range(256)) * 8_000
    async with serving() as site:
        answer = await talk(site, post(body, CLOSE))

    assert answer.endswith(body)


async def test_a_large_answer_waits_for_its_reader() -> None:
    """And arrives whole."""
    async with serving() as site:
        answer = await talk(site, get("/long", CLOSE))

    assert len(answer.partition(b"\r\n\r\n")[2]) == 4_000_000


async def test_connections_are_kept() -> None:
    """Requests one after the other on one connection, until the client closes it."""
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for i in range(3):
            writer.write(post(b"%d" % i))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" not in head
            assert await reader.readexactly(1) == b"%d" % i
        writer.close()

    assert site.state.total_requests == 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Also when the first takes longest, and a bad one among them ends the connection."""
    async with serving() as site:
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(talk(site, get("/wait") + post(b"2") + post(b"3") + b"nonsense\r\n\r\n"))
            await site.began.wait()
            site.go_on.set()
        answer = talking.result()

    assert statuses(answer) == [200, 200, 200, 400]
    assert answer.index(b"waited") < answer.index(b"\r\n\r\n2") < answer.index(b"\r\n\r\n3")


@pytest.mark.parametrize(
    ("request_line", "seen"),
    [
        ("GET /where?a=b&c HTTP/1.1", b"GET /where a=b&c"),
        ("GET /wh%65re HTTP/1.1", b"GET /where "),
        ("GET http://x/where?q HTTP/1.1", b"GET /where q"),
    ],
)
async def test_targets_are_understood(request_line: str, seen: bytes) -> None:
    """With a query, escaped, or in the form that proxies get."""
    async with serving() as site:
        answer = await talk(site, f"{request_line}\r\nHost: x\r\n{CLOSE}\r\n\r\n".encode())

    assert answer.endswith(b"\r\n\r\n" + seen)


@pytest.mark.parametrize("target", ["*", "/where/%ff%00", "/%2e%2e/where", "//where"])
async def test_odd_targets_are_not_found(target: str) -> None:
    """And nothing worse."""
    async with serving() as site:
        assert statuses(await talk(site, get(target, CLOSE))) == [404]


async def test_head_has_no_body() -> None:
    """But the length that GET would have."""
    async with serving() as site:
        answer = await talk(site, get("/where", CLOSE).replace(b"GET", b"HEAD", 1))

    assert b"content-length: 12\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_http_1_0_connections_are_closed() -> None:
    """As their clients expect."""
    async with serving() as site:
        answer = await talk(site, b"GET /where HTTP/1.0\r\n\r\n")

    assert statuses(answer) == [200]
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GE T /where HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n",
        b"GET /where HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET /where HTTP/1.1\r\nA b: c\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused(data: bytes) -> None:
    """With 400 and a closed connection; nothing behind it is taken for a second request."""
    async with serving() as site:
        answer = await talk(site, data + get("/where"))

    assert statuses(answer) == [400]


async def test_an_upgrade_is_not_taken_up() -> None:
    """The request is answered as it stands, and the connection closed."""
    async with serving() as site:
        answer = await talk(site, get("/where", "Connection: Upgrade", "Upgrade: websocket") + b"\x81\x00")

    assert statuses(answer) == [200]
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/where", "A: " + "x" * 70_000), 431),
        (get("/where", "A: " + "x" * 300_000), 431),
        (get("/where", *("A: b" for _ in range(101))), 431),
        (b"GET /where HTTP/1.1\r\nA: " + b"x" * 70_000, 431),
        (get("/" + "x" * 9_000), 414),
        (b"GET /" + b"x" * 200_000, 414),
    ],
)
async def test_heads_without_end_are_refused(data: bytes, status: int) -> None:
    """By size, by count, by the length of the URL, and before they are complete."""
    async with serving() as site:
        assert statuses(await talk(site, data)) == [status]


async def test_a_head_within_its_limits_is_taken() -> None:
    """A hundred headers, and nearly 64 KiB; a large body behind it does not count."""
    async with serving() as site:
        many = await talk(site, get("/where", *("A: b" for _ in range(97)), CLOSE))
        large = await talk(site, post(bytes(200_000), "A: " + "x" * 60_000, CLOSE))

    assert statuses(many) == statuses(large) == [200]


async def test_clients_that_dawdle_are_cut_off() -> None:
    """Silent ones, and those with half a head; those who wait for an answer are not."""
    async with serving(HttpLimits(header_timeout_s=0.05)) as site:
        site.connections.start()
        assert await talk(site) == b""
        assert await talk(site, b"GET /where HTT") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(get("/wait"))
        await site.began.wait()
        for connection in site.connections.open:
            assert connection.expires_at == math.inf
        site.go_on.set()
        assert await reader.readuntil(b"waited")
        writer.close()


async def test_idle_connections_are_closed_in_time() -> None:
    """After an answer, patience is another."""
    async with serving(HttpLimits(header_timeout_s=60, keep_alive_s=0.05)) as site:
        site.connections.start()
        answer = await talk(site, get("/where"))

    assert statuses(answer) == [200]


async def test_a_late_body_is_refused() -> None:
    """The client reads why."""
    async with serving(HttpLimits(body_timeout_s=0.05), body_timeout_s=0.05) as site:
        site.connections.start()
        answer = await talk(site, post(b"hello")[:-2])

    assert statuses(answer) == [408]
    assert b'"code":"slow_client"' in answer


async def test_permission_to_send_a_body_is_given_when_it_is_wanted() -> None:
    """100 Continue before the answer, none before a refusal."""
    whole = post(b"hello", "Expect: 100-continue", CLOSE)
    async with serving(max_body_bytes=5) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(whole[:-5])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(whole[-5:])
        assert (await reader.read()).endswith(b"hello")
        writer.close()

        assert statuses(await talk(site, post(b"hello!", "Expect: 100-continue")[:-6])) == [413]


async def test_who_hangs_up_is_not_worked_for() -> None:
    """The handler is cancelled where it waits."""
    async with serving() as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(get("/wait"))
        await site.began.wait()

        writer.close()

        async with asyncio.timeout(5):
            await site.cancelled.wait()
            while site.state.tasks:
                await asyncio.sleep(0)


async def test_who_hangs_up_in_the_middle_of_a_body_is_forgotten() -> None:
    """No answer, no task left behind."""
    async with serving() as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(post(b"hello")[:-2])
        await writer.drain()
        while not site.state.tasks:
            await asyncio.sleep(0)

        writer.close()

        async with asyncio.timeout(5):
            while site.state.tasks or site.state.connections:
                await asyncio.sleep(0)


async def test_a_body_that_nobody_wants_is_cut_off() -> None:
    """An answered client may send a little more, not without end."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head)
        assert b"404" in await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(1_000):
                writer.write(bytes(100_000))
                await writer.drain()
        writer.close()


async def test_a_client_that_is_still_sending_can_read_its_refusal() -> None:
    """A little more than what is on its way is taken and thrown away before the connection is closed."""
    async with serving(max_body_bytes=100_000) as site:
        for _ in range(5):
            answer = await talk(site, post(bytes(600_000)))
            assert statuses(answer) == [413]


async def test_shutting_down_ends_idle_connections_and_lets_others_finish() -> None:
    """Which is what uvicorn asks of its protocols."""
    async with serving() as site:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", site.port)
        busy, busy_writer = await asyncio.open_connection("127.0.0.1", site.port)
        busy_writer.write(get("/wait"))
        await site.began.wait()
        while len(site.state.connections) < 2:
            await asyncio.sleep(0)

        for connection in list(site.state.connections):
            connection.shutdown()
        site.go_on.set()

        assert await idle.read() == b""
        answer = await busy.read()
        assert b"connection: close" in answer
        assert answer.endswith(b"waited")
        idle_writer.close()
        busy_writer.close()
