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
        post(b"x") + CHUNKED + b"5\r\nhello\r\nno chunk\r\n",
        post(b"x", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0") + post(b"y"),
    ],
    ids=[
        "whole",
        "pipelined",
        "too-large",
        "damaged",
        "more",
        "nonsense",
        "no-body",
        "long",
        "damaged-2nd",
        "unrun-2nd",
    ],
)
async def test_a_connection_is_gone_when_it_has_ended(sent: bytes, hangs_up: bool) -> None:
    """Whatever was sent, and whoever ended it."""
    earlier = there()
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
        await nothing_is_left(earlier)


@pytest.mark.usefixtures("_without_collector")
@pytest.mark.parametrize(
    ("behind", "cancelled"),
    [(b"", True), (WAIT, False), (CHUNKED + b"5\r\nhel", False)],
    ids=["nothing", "another", "half of another"],
)
async def test_nor_does_one_stay_whose_client_left_while_it_waited(behind: bytes, cancelled: bool) -> None:
    """With or without requests behind the one that is being answered; with some, it is noticed after that."""
    earlier = there()
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
        await nothing_is_left(earlier)


def there() -> set[int]:
    """What there is of connections, and what they run; a test that failed may have left some."""
    return {id(one) for one in gc.get_objects() if isinstance(one, (Connection, Exchange))}


async def nothing_is_left(earlier: set[int]) -> None:
    """Wait for the end of all others, by reference counts alone."""
    async with asyncio.timeout(10):
        while there() - earlier:
            await asyncio.sleep(0.01)
