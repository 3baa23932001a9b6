"""One request and its answer on a connection, as ASGI sees them. What it asks of the connection is in `Wire`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

logger = logging.getLogger("convserve.http")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

STATUS_LINE = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_JSON_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
REFUSALS = {  # the answers to what is not even a request
    status: STATUS_LINE[status] + (b"retry-after: 1\r\n" if status == 429 else b"") + _JSON_HEAD % len(body) + body
    for status, body in {
        400: b'{"error":"the request is not HTTP/1.1","code":"bad_request"}',
        414: b'{"error":"the URL is too long","code":"headers"}',
        429: b'{"error":"too many requests wait on this connection","code":"client_limit"}',
        431: b'{"error":"the headers are too large","code":"headers"}',
    }.items()
}
_CLOSE = (b"connection", b"close")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def wants_body(self) -> None:
        """Read on from the client: the application waits for the body."""

    async def writable(self) -> None:
        """Wait while the client reads too slowly."""

    def date_header(self) -> bytes:
        """Return the current Date header line."""

    def finished(self, exchange: "Exchange") -> None:
        """Hear that the answer is complete; the next request may start."""

    def ended(self) -> None:
        """Hear that the application has returned."""

    def broken(self) -> None:
        """Close the connection: what was sent of the answer cannot be completed."""


class Exchange:
    """Collects the request's body as it arrives and writes the answer in as few pieces as possible."""

    __slots__ = (
        *("answered", "body_complete", "body_size", "disconnected", "keeps_alive", "rests", "scope", "task"),
        *("_began", "_body", "_continued", "_head", "_is_head", "_late", "_waiter", "_wire"),
    )

    def __init__(self, wire: Wire, scope: dict[str, Any], *, keeps_alive: bool) -> None:
        self.scope = scope
        self.rests = False
        self.task: asyncio.Task[None] | None = None
        self.keeps_alive = keeps_alive
        self.body_complete = False
        self.body_size = 0
        self.answered = False
        self.disconnected = False
        self._wire = wire
        self._began = False
        self._body: list[bytes] = []
        self._continued = False
        self._is_head = scope["method"] == "HEAD"
        self._head: bytes | None = None
        self._late = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take a piece of the body; after the answer it is counted and thrown away."""
        self.body_size += len(data)
        if not self.answered:
            self._body.append(data)
            if self._waiter is not None:
                self._wake()

    def complete(self) -> None:
        """Note that the body has ended."""
        self.body_complete = True
        if self._waiter is not None:
            self._wake()

    def whole_body(self) -> bytes | None:
        """Return the body if it has arrived in one piece, which spares waiting for it; else None."""
        if not self.body_complete or self.disconnected or len(self._body) != 1:
            return None
        return self._body.pop()

    def rest(self) -> None:
        """Note that the client is to be heard again only after a while: it asks for more than its share."""
        self.rests = True

    def time_out(self) -> None:
        """Note that the body is late: who waits for it, or asks for more of it, gets a `TimeoutError`."""
        self._late = True  # a piece that came in the same turn of the loop may have woken the waiter already
        self._wake()

    def disconnect(self) -> None:
        """Note that the client is gone: who waits for the body hears of it, any other work for it is cancelled."""
        self.disconnected = True
        if self.answered:
            return
        if self._waiter is not None:
            self._wake()
        elif self.task is not None and self._began:  # a task that is cancelled before it began never runs its end
            self.task.cancel()

    async def run(self, application: Application) -> None:
        """Let the application answer; a failure of its own, which must not happen, ends the connection."""
        self._began = True
        self.scope["rest"], self.scope["whole_body"] = self.rest, self.whole_body
        try:
            if not self.disconnected:
                await application(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self.disconnected:
                raise
        except Exception:  # the application answers its own errors: this is a bug in it, or in here
            logger.exception("the application failed")
        finally:
            del self.scope["rest"], self.scope["whole_body"]  # they lead back here: work for the garbage collector
            self._wire.ended()
        if not self.answered and not self.disconnected:
            self._wire.broken()

    async def receive(self) -> Message:
        """Return the next piece of the body, or `http.disconnect` (ASGI); raises `TimeoutError` when it is late."""
        while not (self._body or self.body_complete or self.disconnected or self.answered or self._late):
            if not self._continued:
                self._continued = True
                if any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"]):
                    self._wire.write(_CONTINUE)
            self._wire.wants_body()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected:
            return {"type": "http.disconnect"}
        if self._late and not (self.body_complete or self.answered):
            raise TimeoutError
        body, self._body = b"".join(self._body), []
        return {"type": "http.request", "body": body, "more_body": not self.body_complete}

    async def send(self, message: Message) -> None:
        """Take the head, or a piece of the answer's body (ASGI); the head is sent with the first piece."""
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._head = self._make_head(message["status"], message["headers"])
            return
        body = b"" if self._is_head else message["body"]
        if self._head is not None:
            body, self._head = self._head + body, None
        self._wire.write(body)
        if message.get("more_body", False):
            await self._wire.writable()
        else:
            self.answered = True
            self._wire.finished(self)

    def _make_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return status line and headers. The application vouches for them, and always declares the length."""
        lines = [b"%b: %b\r\n" % header for header in headers]
        if _CLOSE in headers:
            self.keeps_alive = False
        elif not self.keeps_alive:
            lines.append(b"connection: close\r\n")
        return b"".join((STATUS_LINE[status], self._wire.date_header(), *lines, b"\r\n"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
