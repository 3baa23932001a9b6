"""service/exchange.py: a body that is late, and what an exchange leaves behind."""

import asyncio
import gc
from typing import Any

import pytest

from service.exchange import Exchange, Receive, Send


class Wire:
    """A connection that forgets."""

    def write(self, data: bytes) -> None: ...

    def wants_body(self) -> None: ...

    async def writable(self) -> None: ...

    def date_header(self) -> bytes:
        return b""

    def finished(self, exchange: Exchange) -> None: ...

    def ended(self) -> None: ...

    def broken(self) -> None: ...


async def answer(_scope: Any, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def test_an_exchange_is_gone_when_nobody_holds_it() -> None:
    """No cycle leads back to it: a garbage collection for every few hundred requests would cost more than they do."""
    gc.collect()
    gc.disable()
    try:
        exchange = Exchange(Wire(), {"method": "GET", "headers": []}, keeps_alive=True)
        await exchange.run(answer)
        assert exchange.answered
        del exchange
        assert not [one for one in gc.get_objects() if isinstance(one, Exchange)]
    finally:
        gc.enable()


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_late_body_is_late_whenever_it_is_found_to_be(pieces: int, *, waits: bool) -> None:
    """Before anybody waits for it, too, and in the turn of the loop in which another piece has come."""
    exchange = Exchange(Wire(), {"method": "POST", "headers": []}, keeps_alive=True)
    received = asyncio.ensure_future(exchange.receive())
    if waits:
        await asyncio.sleep(0)
    for _ in range(pieces):
        exchange.feed(b"x")

    exchange.time_out()

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await received
    assert not received.cancelled()


async def test_a_body_that_is_whole_is_not_late() -> None:
    """Its last piece came in the same turn."""
    exchange = Exchange(Wire(), {"method": "POST", "headers": []}, keeps_alive=True)
    received = asyncio.ensure_future(exchange.receive())
    await asyncio.sleep(0)
    exchange.feed(b"x")
    exchange.complete()
    exchange.time_out()

    assert await received == {"type": "http.request", "body": b"x", "more_body": False}
