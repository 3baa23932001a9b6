"""HTTP/1.1 on a connection, in the place of uvicorn's own protocol class: the same parser (llhttp through httptools),
fewer steps from the bytes to the application and back, and limits where uvicorn has none.

It closes connections that are silent or dawdle over their headers, refuses headers and URLs without end, and lets the
work for a client that hung up be dropped. WebSockets and HTTP/2 are not spoken. What is answered is not known here.
docs/decisions/0005-own-http-protocol.md has the reasons and the figure.
"""

import asyncio
import math
import random
from collections import deque
from typing import Any

import httptools

from service.connections import Connections
from service.exchange import REFUSALS, Exchange
from service.runner import Runner

_HIGH_WATER_BYTES = 65_536  # of body that waits for the application
_MAX_PIPELINED = 128  # requests that wait for the one before; thousands come in one read
_MAX_UNREAD_BYTES, _LEAVE_S = 2**20, 1.0  # that an answered client may still send, or take, before it is cut off
_REST_S = (1.0, 3.0)  # that a client which asks for more than its share is not listened to, on that connection


class Connection(asyncio.Protocol):
    """One client's connection: parses what arrives, runs one exchange after the other."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._limits, self._loop = connections.limits, connections.loop
        self.date_header = connections.date_header
        self.expires_at = math.inf  # on the loop's clock: when silence is no longer borne
        self._current: Exchange | None = None
        self._receiving: Exchange | None = None  # the one whose body is arriving; after the current if pipelined
        self._pipelined: deque[Exchange] = deque()
        self._refusal: int | None = None
        self._in_head = False
        self._head_bytes = 0  # received since the head began, or since the last piece of the body
        self._follows = False  # it came in one read with the end of the request before, and is not counted in there
        self._url, self._hosts = b"", 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._reading_paused, self._leaving = False, False
        self._unread_bytes = 0  # since the last answer
        self._can_write: asyncio.Event | None = None
        self._runner = Runner(connections)

    # from the transport

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        self._transport = transport
        self.write = transport.write
        self._parser = httptools.HttpRequestParser(self)
        self._client = transport.get_extra_info("peername")
        if not self._all.opened(self, transport):
            self._transport.abort()  # here; the client notices nothing
            return
        self.expires_at = self._loop.time() + self._limits.header_timeout_s

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who works for this client."""
        self._all.closed(self)
        self.resume_writing()
        for exchange in filter(None, (self._current, *self._pipelined)):
            exchange.disconnect()
        self._runner.close()
        del self._parser  # it leads back here, as do these: only the garbage collector would end this connection
        self._current = self._receiving = None
        self._pipelined.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._leaving:
            self._unread_bytes += len(data)
            if self._unread_bytes > _MAX_UNREAD_BYTES:
                self._transport.close()
            return
        if self._refusal is not None:
            return
        if self._receiving is None and not self._in_head:  # the first bytes of a request
            self._in_head, self._head_bytes = True, 0
            if self._current is None:
                self.expires_at = self._loop.time() + self._limits.header_timeout_s
        self._head_bytes += len(data)
        self._follows = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request is answered as it stands, and the connection closed
        except httptools.HttpParserError:
            self._drop_receiving(400)
        if (self._in_head or self._receiving) and self._head_bytes > self._limits.max_header_bytes:
            self._drop_receiving(431)  # trailers without end, or the size of a chunk
        if self._refusal is not None and self._current is None:
            self._send_refusal()

    def eof_received(self) -> bool:
        """Close when the client has said its last word, which HTTP clients do only when they are done."""
        return False

    def pause_writing(self) -> None:
        """Hear that the client reads too slowly."""
        self._can_write = asyncio.Event()

    def resume_writing(self) -> None:
        """Hear that it has caught up."""
        waited, self._can_write = self._can_write, None
        if waited is not None:
            waited.set()
            self._go_on()

    # from the parser

    def on_message_begin(self) -> None:
        """Forget the last request."""
        self._in_head, self._hosts = True, 0
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._url += url
        if len(self._url) > self._limits.max_url_bytes:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; no trailers: they came too late for everything that looks at headers."""
        if not self._in_head:
            return
        name = name.lower()
        self._headers.append((name, value))
        if name == b"host":
            self._hosts += 1

    def on_headers_complete(self) -> None:
        """Start the exchange, after the ones before it."""
        self._in_head = False
        limits = self._limits
        if len(self._headers) > limits.max_headers or (
            (self._follows or self._head_bytes > limits.max_header_bytes)
            and sum(len(name) + len(value) for name, value in self._headers) > limits.max_header_bytes
        ):
            self._refuse(431)
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.0", "1.1") or (self._hosts != 1 and (self._hosts or version == "1.1")):  # RFC 9112, 3.2
            self._refuse(400)
        if len(self._pipelined) == _MAX_PIPELINED:
            self._refuse(429)
        if self._refusal is not None:
            return
        keeps_alive = version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        scope = self._all.scope(parser.get_method().decode("ascii"), version, self._url, self._headers, self._client)
        exchange = Exchange(self, scope, keeps_alive=keeps_alive)
        self._receiving = exchange
        if self._current is None:
            self._start(exchange)
        else:
            self._pipelined.append(exchange)
            self._pause_reading()

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on, without letting it pile up."""
        self._head_bytes = 0
        if (exchange := self._receiving) is None:
            return
        exchange.feed(body)
        if exchange.answered:
            self._unread_bytes += len(body)
            if self._unread_bytes > _MAX_UNREAD_BYTES:
                self._transport.close()
        elif exchange.body_size > _HIGH_WATER_BYTES:
            self._pause_reading()

    def on_message_complete(self) -> None:
        """Note that the request has arrived whole."""
        self._head_bytes, self._follows = 0, True
        if self._receiving is not None:
            self._receiving.complete()
            if self._receiving is self._current:
                self._has_body()
            self._receiving = None

    # from the exchange

    def wants_body(self) -> None:
        """Read on."""
        self._resume_reading()

    async def writable(self) -> None:
        """Wait while the client reads too slowly."""
        if self._can_write is not None:
            await self._can_write.wait()

    def finished(self, exchange: Exchange) -> None:
        """Go on to the next request, or close."""
        self._all.state.total_requests += 1
        self._current, self._unread_bytes = None, 0
        if not exchange.keeps_alive:
            self._leave()
        elif exchange.rests:
            self._pause_reading()
            self.expires_at = math.inf
            self._loop.call_later(random.uniform(*_REST_S), self._go_on)  # noqa: S311 (no secret)
        elif self._can_write is not None:  # its answers pile up here: no more for it until it reads them
            self._pause_reading()
            self.expires_at = self._loop.time() + self._limits.keep_alive_s
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._current is not None or self._transport.is_closing():
            return
        if self._pipelined:
            self._start(self._pipelined.popleft())
        elif self._refusal is not None:
            self._send_refusal()
        else:
            self._resume_reading()
            patience_s = self._limits.header_timeout_s if self._in_head else self._limits.keep_alive_s
            self.expires_at = self._loop.time() + patience_s

    def ended(self) -> None:
        """Hear that the application has returned."""
        self._runner.ended()

    def broken(self) -> None:
        """Close."""
        self._transport.close()

    # from uvicorn and the sweep

    def shutdown(self) -> None:
        """Close when idle, else after the answer."""
        if self._current is None:
            self._transport.close()
        else:
            self._current.keeps_alive = False

    def expire(self) -> None:
        """End the wait for a body that does not come, or the connection, if there is not even a request."""
        if self._current is not None:
            self.expires_at = math.inf
            self._current.time_out()
        else:  # closing would wait for a client that does not read
            (self._transport.abort if self._transport.get_write_buffer_size() else self._transport.close)()

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        if exchange.body_complete:
            self._has_body()
        else:
            self.expires_at = self._loop.time() + self._limits.body_timeout_s
        self._runner.start(exchange)

    def _has_body(self) -> None:
        self.expires_at = math.inf  # from here on the engine keeps the time
        if not self._pipelined:  # a large body had it paused, and who does not read is not told of a hang-up
            self._resume_reading()

    def _drop_receiving(self, status: int) -> None:
        """Refuse the request that turned out to be damaged: its head, or its body, which is no exchange any more."""
        self._refuse(status)
        exchange, self._receiving = self._receiving, None
        if exchange is not None and exchange is self._current:
            self._current = None
            exchange.disconnect()
        elif exchange is not None and exchange in self._pipelined:
            self._pipelined.remove(exchange)

    def _refuse(self, status: int) -> None:
        self._refusal = self._refusal or status  # the first one counts

    def _send_refusal(self) -> None:
        if self._refusal is None or self._transport.is_closing():
            return
        self._transport.write(REFUSALS[self._refusal])
        self._leave()

    def _leave(self) -> None:
        """Close; a client that is still sending first gets a moment to read the answer, which a reset would destroy."""
        self.expires_at = self._loop.time() + self._limits.keep_alive_s  # to read what was sent
        if (self._refusal is None and self._receiving is None) or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._leaving = True
        self._transport.write_eof()
        self._resume_reading()
        self.expires_at = self._loop.time() + _LEAVE_S

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
