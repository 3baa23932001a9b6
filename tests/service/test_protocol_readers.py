"""service/protocol.py, on real sockets: clients that do not read what they asked for, or ask for too much at once."""

import asyncio
import socket

import pytest

from service.connections import HttpLimits
from tests.service.site import CLOSE, get, post, serving, statuses, talk

MOST = 128  # requests that may wait for the one before


async def test_who_does_not_read_gets_no_more_answers_and_is_cut_off() -> None:
    """Forty requests in one go, four megabytes each: what is not read stays unmade, and the connection ends."""
    async with serving(HttpLimits(keep_alive_s=0.2)) as site:
        site.connections.start()
        _, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)
        writer.write(get("/long") * 40)
        await writer.drain()

        while not site.state.total_requests:
            await asyncio.sleep(0)
        (connection,) = site.connections.open
        held = 0
        while not held:  # the system may take a whole answer or two by itself
            await asyncio.sleep(0)
            held = connection._transport.get_write_buffer_size()  # type: ignore[attr-defined]
        while site.connections.open:
            await asyncio.sleep(0.05)
        writer.close()

    assert 0 < held < 8_000_000
    assert site.state.total_requests < 5


async def test_a_slow_reader_gets_all_its_answers() -> None:
    """In order, once it reads on."""
    async with serving() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)
        writer.write(get("/long") * 3 + get("/where", CLOSE))
        await writer.drain()
        while not site.state.total_requests:
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()

    assert statuses(answer) == [200] * 4
    assert len(answer) > 12_000_000


@pytest.mark.parametrize("last", [CLOSE, "Connection: keep-alive"])
async def test_who_does_not_read_the_last_answer_is_cut_off(last: str) -> None:
    """Closing alone would wait for as long as the client's system says that it is there."""
    async with serving(HttpLimits(keep_alive_s=0.2)) as site:
        site.connections.start()
        with socket.create_connection(("127.0.0.1", site.port)) as plug:
            plug.sendall(get("/huge", last))
            async with asyncio.timeout(10):
                while not site.state.total_requests:
                    await asyncio.sleep(0.01)
                while site.connections.open:
                    await asyncio.sleep(0.01)


async def test_who_reads_the_last_answer_late_gets_all_of_it() -> None:
    """Within the time that a connection may be silent."""
    size = 0
    async with serving() as site:
        site.connections.start()
        with socket.create_connection(("127.0.0.1", site.port)) as plug:
            plug.sendall(get("/huge", CLOSE))
            plug.setblocking(False)
            await asyncio.sleep(1.2)  # two sweeps
            while piece := await asyncio.get_running_loop().sock_recv(plug, 2**20):
                size += len(piece)

    assert size > 40_000_000


async def test_few_requests_may_wait_on_a_connection() -> None:
    """Thousands come in one read; those that may wait are answered, then comes the refusal."""
    async with serving() as site:
        answer = await talk(site, get("/where") * (MOST + 1_000))

    assert statuses(answer) == [200] * (1 + MOST) + [429]
    assert answer.endswith(b'"code":"client_limit"}')


async def test_as_many_as_may_wait_are_answered() -> None:
    """And the connection goes on."""
    async with serving() as site:
        answer = await talk(site, get("/where") * MOST + post(b"x", CLOSE))

    assert statuses(answer) == [200] * (MOST + 1)
