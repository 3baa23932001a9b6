"""Sends cases to a server, on a few connections, and judges what comes: any answer but a server's error, in time."""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

from tests.fuzz.images import mutated
from tests.fuzz.requests import Case, case

IN_TIME_S = 20.0
_BEAT_S = 0.2
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")


@dataclass
class Tally:
    """How often each status came, and the cases that must not have come to what they came to."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.statuses.total()


class _Connection:
    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, one: Case) -> int:
        """Return the status of the answer, 0 if the connection was closed without one."""
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            self.close()  # the server has, of an idle one
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(one.data)
        try:
            if not one.framed:
                writer.write_eof()
                status = await self._last(reader)
                self.close()
                return status
            return await self._answer(reader, one)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.close()
            return 0

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _answer(self, reader: asyncio.StreamReader, one: Case) -> int:
        status = 100
        while status == 100:  # Expect was heeded
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(_STATUS.match(head)[1])  # type: ignore[index]
        length = _LENGTH.search(head)
        if length is not None and not one.head_only:
            await reader.readexactly(int(length[1]))
        if b"\r\nconnection: close" in head.lower():
            self.close()
        return status

    async def _last(self, reader: asyncio.StreamReader) -> int:
        received = await reader.read()
        found = _STATUS.findall(received)
        return int(found[-1]) if found else 0


class _Pulse:
    """Notices when this process did not run for a while, as when it is stopped: what was sent then proves nothing."""

    def __init__(self) -> None:
        self.missed = 0

    async def beat(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(_BEAT_S)
            self.missed += perf_counter() - before > 10 * _BEAT_S


async def drive(port: int, cases: int, seed: int, key: str, *, images: bool = False, connections: int = 4) -> Tally:
    """Send so many cases, requests of every kind or images alone."""
    tally, pulse = Tally(), _Pulse()
    beating = asyncio.create_task(pulse.beat())

    async def judged(connection: _Connection, one: Case) -> str | None:
        while True:
            missed = pulse.missed
            try:
                async with asyncio.timeout(IN_TIME_S):
                    status: int | None = await connection.send(one)
            except TimeoutError:
                connection.close()
                status = None
            fault = _fault(status, images=images)
            if fault is not None:
                await asyncio.sleep(2 * _BEAT_S)  # until the pulse has told
            if missed == pulse.missed or fault is None:
                tally.statuses[status or 0] += 1
                return fault

    async def some(number: int, share: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        connection = _Connection(port)
        for _ in range(share):
            one = _image(chance, key) if images else case(chance, key)
            if (fault := await judged(connection, one)) is not None:
                tally.failures.append((fault, one.data))
        connection.close()

    await asyncio.gather(*(some(number, cases // connections) for number in range(connections)))
    beating.cancel()
    return tally


def _fault(status: int | None, *, images: bool) -> str | None:
    """Return what is wrong with a status; None as one is that nothing came in time."""
    if status is None:
        return "hang"
    wrong = status not in (200, 415, 422) if images else status in (500, 502)
    return str(status) if wrong else None


def _image(chance: random.Random, key: str) -> Case:
    body = mutated(chance)
    head = f"POST /v1/classify HTTP/1.1\r\nHost: fuzz\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Case(head.encode() + body, framed=True, head_only=False)
