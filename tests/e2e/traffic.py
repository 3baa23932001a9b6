"""Keep-alive connections that send one request after the other as fast as they are answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Connection:
    """One HTTP/1.1 connection, written out by hand: a client library would take more time than the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def port(self) -> int:
        """The client's end."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def post(self, target: str, body: bytes, headers: str = "") -> tuple[int, Any]:
        """Send one request and return the status and the JSON of its answer."""
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head[9:12]), json.loads(await self._reader.readexactly(length))

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


def owner(port: int, workers: list[int]) -> int:
    """Return which of these processes has the other end of the connection from a loopback *port*, from /proc."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (socket,) = [f"socket:[{line[9]}]" for line in lines if line[2].endswith(f":{port:04X}") and line[3] == "01"]
    for pid in workers:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if descriptor.readlink().name == socket:
                    return pid
    raise LookupError(f"no worker has the connection from port {port}")


@dataclass
class Traffic:
    """What is allowed to answer, from when to when, and what did."""

    allowed: list[set[int]]
    answered: int = 0
    faults: list[object] = field(default_factory=list)
    ended: bool = False

    def allow(self, *versions: int) -> None:
        """From now on these versions may answer."""
        self.allowed.append(set(versions))

    async def send(self, port: int, image: bytes) -> None:
        """Classify until ended; a version must have been allowed while its request was on the way."""
        connection = await Connection.open(port)
        while not self.ended:
            began = len(self.allowed) - 1
            status, content = await connection.post("/v1/classify?top_k=1", image)
            version = content["model"]["version"] if status == 200 else None
            if version is None or version not in set().union(*self.allowed[began:]):
                self.faults.append((status, content, self.allowed[began:]))
            elif content["predictions"][0]["class_id"] != version:
                self.faults.append(("another version's answer", content))
            self.answered += 1
        await connection.close()

    async def until(self, answered: int) -> None:
        """Wait until so many requests have been answered."""
        while self.answered < answered:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def flowing(port: int, connections: int, image: bytes, *allowed: int) -> AsyncIterator[Traffic]:
    """Traffic on so many connections for as long as the block lasts."""
    traffic = Traffic([set(allowed)])
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(traffic.send(port, image))
        try:
            yield traffic
        finally:
            traffic.ended = True
