"""service/protocol.py: a connection that has ended leaves no work for the garbage collector, which seldom comes by."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from service.exchange import Exchange
from service.protocol import Connection
from tests.service.site import CLOSE, get, post, serving

CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
WAIT = get("/wait")


@pytest.fixture
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        post(b"x", CLOSE),
        post(b"x") + post(b"y", CLOSE),
        CHUNKED + b"7D1\r\n" + bytes(2001) + b"\r\n",
        CHUNKED + b"5\r\nhello\r\nno chunk\r\n",
        post(b"x", CLOSE)[:-1] + b"\0" * 200_000,
        b"no request\r\n\r\n",
        get("/where", "Content-Length: 5", CLOSE),
        get("/long", CLOSE),
    ],
    ids=["whole", "pipelined", "too-large", "damaged", "more", "nonsense", "no-body", "long"],
)
async def test_a_connection_is_gone_when_it_has_ended(sent: bytes, hangs_up: bool) -> None:
    """Whatever was sent, and whoever ended it."""
    async with serving(max_body_bytes=2_000) as site:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(sent)
            if hangs_up:
                await asyncio.sleep(0.01)
            else:
                async with asyncio.timeout(10):
                    while await reader.read(65_536):
                        pass
            writer.close()
        await nothing_is_left()


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    ("behind", "cancelled"),
    [(b"", True), (WAIT, False), (CHUNKED + b"5\r\nhel", False)],
    ids=["nothing", "another", "half of another"],
)
async def test_nor_does_one_stay_whose_client_left_while_it_waited(behind: bytes, cancelled: bool) -> None:
    """With or without requests behind the one that is being answered; with some, it is noticed after that."""
    async with serving() as site:
        _reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(WAIT + behind)
        async with asyncio.timeout(10):
            await site.began.wait()
            writer.close()
            if cancelled:
                await site.cancelled.wait()
            else:
                site.go_on.set()
        await nothing_is_left()


async def nothing_is_left() -> None:
    """Wait for the end of all connections, and what they ran, by reference counts alone."""
    kinds = (Connection, Exchange)
    async with asyncio.timeout(10):
        while any(isinstance(one, kinds) for one in gc.get_objects()):
            await asyncio.sleep(0.01)
