"""service/protocol.py and service/exchange.py, on real sockets: what is refused, and every way to end."""

import asyncio
import math
from typing import Any

import pytest

from service.connections import HttpLimits
from service.protocol import Connection
from tests.service.site import CLOSE, get, post, serving, statuses, talk


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


@pytest.mark.parametrize("size", [0, 100, 200_000])
async def test_who_hangs_up_is_not_worked_for(size: int) -> None:
    """The handler is cancelled where it waits, also if it has got a body of more than is read ahead."""
    async with serving() as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(post(bytes(size)).replace(b"/echo", b"/wait") if size else get("/wait"))
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


async def test_who_asks_for_more_than_its_share_is_not_heard_for_a_while() -> None:
    """On that connection; requests that it has sent meanwhile are answered later, and others at once."""
    async with serving() as site:
        site.refuses = True
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await talk(site, get("/greedy") + get("/where", CLOSE))
        took_s = loop.time() - began
        site.refuses = False

        assert statuses(answers) == [429, 200]
        assert took_s >= 1.0
        assert statuses(await talk(site, get("/greedy") + get("/where", CLOSE))) == [200, 200]


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


async def test_a_body_is_not_counted_to_the_head_behind_it() -> None:
    """However large it was, and though its end is read in one piece with how the next request begins."""
    first, second = post(bytes(150_000)), get("/where")
    async with serving() as site:
        connection, sink = Connection(site.connections), Sink()
        connection.connection_made(sink)
        for piece in (first[:-10], first[-10:] + second[:10], second[10:]):
            connection.data_received(piece)
        async with asyncio.timeout(10):
            while len(statuses(sink.written)) < 2:
                await asyncio.sleep(0)

    assert statuses(sink.written) == [200, 200]


async def test_a_head_that_comes_with_the_request_before_it_has_the_same_limit() -> None:
    """Though it is not known where it began."""
    async with serving() as site:
        answer = await talk(site, post(b"hello") + get("/where", "A: " + "x" * 70_000))

    assert statuses(answer) == [200, 431]
