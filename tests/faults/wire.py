"""Bytes on a socket, as no well-behaved client would send them."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer off the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The stable code of an error."""
        found: str = json.loads(self.body)["code"]
        return found


@contextlib.contextmanager
def connected(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection from a loopback address."""
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as plug:
        yield plug


def head(*headers: str, target: str = "/v1/classify", method: str = "POST") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(body: bytes, *headers: str, target: str = "/v1/classify") -> bytes:
    """A whole request that declares its length."""
    return head(f"Content-Length: {len(body)}", *headers, target=target) + body


def replies(received: bytes) -> list[Reply]:
    """Everything that was answered on a connection."""
    found = []
    while received:
        top, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        found.append(Reply(int(first.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return [reply for reply in found if reply.status != 100]


def until_closed(plug: socket.socket) -> bytes:
    """What the server sends until it closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := plug.recv(65_536):
            received += piece
    return received


def one_reply(plug: socket.socket) -> Reply:
    """The next answer on a connection that stays open."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = plug.recv(65_536)
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    length = int(re.search(rb"(?i)content-length: (\d+)", received)[1])  # type: ignore[index]
    while len(received.partition(b"\r\n\r\n")[2]) < length:
        received += plug.recv(65_536)
    return replies(received)[0]


def talk(port: int, *pieces: bytes, source: str = "127.0.0.1") -> list[Reply]:
    """Send pieces and read all answers until the server closes."""
    with connected(port, source) as plug:
        for piece in pieces:
            try:
                plug.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        return replies(until_closed(plug))


def multipart(*parts: bytes, boundary: str = "b", name: str = 'name="f"; filename="f"') -> bytes:
    """A multipart body of file parts."""
    start = f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode()
    return b"".join(start + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


def seconds_of(action: Any) -> float:
    """How long something takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began
