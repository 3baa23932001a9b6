"""What the connections of a worker have in common: their limits, the clock that ends silent ones, uvicorn's state."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

import httptools

from service.balance import Balance
from service.exchange import Application

_SWEEP_S = 0.5  # how much later than its limit a client may be cut off
# Those who came together are late together, and would come back together: a few at a time, the others are heard between
_AT_ONCE, _PORTIONS, _PAUSE_S = 8, 100, 0.005


class Connection(Protocol):
    """What the sweep needs of a connection."""

    expires_at: float  # on the loop's clock

    def expire(self) -> None:
        """Hear that the client has been silent for too long."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client may take before its request is even known."""

    max_header_bytes: int = 65_536  # the whole head
    max_headers: int = 100
    max_url_bytes: int = 8_192
    header_timeout_s: float = 10.0
    body_timeout_s: float = 10.0
    keep_alive_s: float = 75.0


@dataclass(slots=True)
class Connections:
    """All connections of a worker, and the one timer that watches over them; *state* is uvicorn's."""

    state: Any
    application: Application
    limits: HttpLimits
    loop: asyncio.AbstractEventLoop
    balance: Balance | None = None  # with the other workers of the server
    open: set[Connection] = field(default_factory=set)
    _date: tuple[Any, bytes] = (None, b"")

    def start(self) -> None:
        """Begin to sweep."""
        self.loop.call_later(_SWEEP_S, self._sweep)

    def opened(self, connection: Connection, transport: Any) -> bool:
        """Note a new connection; return False if another worker was given it."""
        if self.balance is not None and self.balance.hands_on(transport):
            return False
        self.open.add(connection)
        self.state.connections.add(connection)
        if self.balance is not None:
            self.balance.count(len(self.open))
        return True

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.open.discard(connection)
        self.state.connections.discard(connection)
        if self.balance is not None:
            self.balance.count(len(self.open))

    def leave(self) -> None:
        """Take no more connections from other workers."""
        if self.balance is not None:
            self.balance.leave()

    def date_header(self) -> bytes:
        """Return uvicorn's default headers, which it renews each second, as bytes."""
        headers = self.state.default_headers
        if self._date[0] is not headers:
            self._date = headers, b"".join(b"%s: %s\r\n" % pair for pair in headers)
        return self._date[1]

    def scope(
        self, method: str, version: str, url: bytes, headers: list[tuple[bytes, bytes]], client: Any
    ) -> dict[str, Any]:
        """Return the ASGI scope of a request, as far as HTTP/1.1 tells."""
        raw_path, _, query = url.partition(b"?")
        if not raw_path.startswith(b"/") and b"://" in url:  # http://host/path, as sent to proxies
            raw_path = httptools.parse_url(url).path or b"/"
        path = raw_path.decode("latin-1")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "scheme": "http",  # nothing here makes URLs; TLS ends below
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": client,
            "server": None,
            "keeps_time": True,  # of the body, with the sweep
        }

    def _sweep(self) -> None:
        now = self.loop.time()
        late = [one for one in self.open if one.expires_at < now]
        self._expire(late, max(_AT_ONCE, len(late) // _PORTIONS))

    def _expire(self, late: list[Connection], at_once: int) -> None:
        now = self.loop.time()
        for connection in late[:at_once]:
            if connection.expires_at < now:  # it may have gone on since
                connection.expire()
        if rest := late[at_once:]:
            self.loop.call_later(_PAUSE_S, self._expire, rest, at_once)
        else:
            self.loop.call_later(_SWEEP_S, self._sweep)
