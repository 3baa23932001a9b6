"""Plain HTTP/1.1 connections from a loopback address of one's choice, kept alive, one request at a time on each.

Nothing is ever retried: what a load balancer would hide is what is to be seen.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ANSWER_TIMEOUT_S = 60.0
LEFT = -1  # in place of a status: the client did not wait for the answer
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_CLOSES = re.compile(rb"(?i)\r\nconnection: close")
_RETRY = re.compile(rb"(?i)\r\nretry-after: (\d+)")


class Request(NamedTuple):
    """Bytes to send; a client with little patience hangs up when nothing has come after so long."""

    data: bytes
    leaves_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. *status* 0: the connection failed, or nothing came in time; `LEFT`: it was not waited for."""

    status: int
    body: bytes = b""
    retry_after_s: int | None = None

    @property
    def code(self) -> str:
        """The stable code of an error, what there is of it; of a deadline also whether it passed at the device."""
        if self.status in (0, LEFT):
            return "left" if self.status else "connection"
        try:
            return str(json.loads(self.body)["code"]) + (" at the device" if b"at the device" in self.body else "")
        except (ValueError, KeyError, TypeError):
            return f"status_{self.status}"


class _Connection(asyncio.Protocol):
    """One connection; `answer` is set when the answer is complete, or the connection lost."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Answer] | None = None
        self.usable = True
        self._received = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._resolve(Answer(0))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        length = _LENGTH.search(head)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) < total:
            return
        body, self._received = self._received[end + 4 : total], self._received[total:]
        if _CLOSES.search(head):
            self.usable = False
            self.transport.close()
        status, retry = _STATUS.match(head), _RETRY.search(head)
        self._resolve(Answer(int(status[1]) if status else 0, body, int(retry[1]) if retry else None))

    def leave(self) -> None:
        """Hang up; a complete answer that came before counts."""
        if self.answer is not None and not self.answer.done():
            self.usable = False
            self._resolve(Answer(LEFT))
            self.transport.close()

    def _resolve(self, answer: Answer) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(answer)


@dataclass(slots=True)
class Client:
    """The connections of one client address to one port."""

    port: int
    source: str = "127.0.0.1"
    opened: int = 0
    _idle: list[_Connection] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        """Send a request on an idle connection, or on a new one, and return what comes."""
        try:
            connection = await self._take()
        except OSError:
            return Answer(0)
        loop = asyncio.get_running_loop()
        connection.answer = loop.create_future()
        connection.transport.write(request.data)
        if request.leaves_after_s is None:
            timer = loop.call_later(ANSWER_TIMEOUT_S, connection.transport.abort)
        else:
            timer = loop.call_later(request.leaves_after_s, connection.leave)
        answer = await connection.answer
        timer.cancel()
        if connection.usable:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Hang up."""
        for connection in self._idle:
            connection.transport.close()
        self._idle.clear()

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and not connection.transport.is_closing():
                return connection
        self.opened += 1
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, "127.0.0.1", self.port, local_addr=(self.source, 0)
        )
        return connection


def post(body: bytes, target: str = "/v1/classify", *headers: str, leaves_after_s: float | None = None) -> Request:
    """Return a POST with its length."""
    lines = [f"POST {target} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}", *headers, "", ""]
    return Request("\r\n".join(lines).encode() + body, leaves_after_s)


def get(target: str) -> Request:
    """Return a GET."""
    return Request(f"GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
