"""service/exchange.py: what an exchange leaves behind."""

import gc
from typing import Any

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
