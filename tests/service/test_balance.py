"""service/balance.py: two workers in one process, both of which accept."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service import balance
from service.balance import Balance, Place
from service.connections import Connections, HttpLimits


async def nothing(*_: object) -> None:
    """An application that is never called."""


class Named(asyncio.Protocol):
    """A connection that greets its client with the name of the worker that has it."""

    def __init__(self, worker: "Accepting") -> None:
        self._worker = worker

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self._worker.connections.opened(self, transport):  # type: ignore[arg-type]
            transport.write(self._worker.name)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.connections.closed(self)  # type: ignore[arg-type]


class Accepting:
    """A worker that listens, on a port of its own."""

    def __init__(self, folder: Path, number: int, most: int = 4) -> None:
        self.name = b"%d" % number
        self.ready = True
        self.server: asyncio.Server | None = None
        self._clients: list[asyncio.StreamWriter] = []
        state = SimpleNamespace(connections=set())
        self.connections = Connections(state, nothing, HttpLimits(), asyncio.get_running_loop())
        self.connections.balance = self.balance = Balance(
            Place(folder, number), most, lambda: Named(self), lambda: self.ready
        )

    async def listen(self) -> "Accepting":
        self.balance.join()
        self.server = await asyncio.get_running_loop().create_server(lambda: Named(self), "127.0.0.1", 0)
        return self

    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self.server is not None
        host, port = self.server.sockets[0].getsockname()
        return host, port

    async def greeted(self) -> tuple[bytes, asyncio.StreamWriter]:
        """Connect, and return who has the connection."""
        reader, writer = await asyncio.open_connection(*self.address())
        self._clients.append(writer)
        return await reader.readexactly(1), writer

    async def end(self) -> None:
        self.balance.close()
        if self.server is not None:
            self.server.close()
        for writer in self._clients:
            writer.close()
            await writer.wait_closed()

    def die(self) -> None:
        """End as a worker that is killed does: its socket is closed, what it wrote stays."""
        assert self.server is not None
        self.balance._beating.cancel()  # type: ignore[union-attr]
        for one in (self.balance._listening, *self.balance._from):
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        self.server.close()


@asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Accepting, Accepting]]:
    """Two of up to four workers."""
    workers = [await Accepting(folder, number).listen() for number in (1, 2)]
    try:
        yield workers[0], workers[1]
    finally:
        for worker in workers:
            await worker.end()


async def test_who_has_more_hands_on(tmp_path: Path) -> None:
    """All clients come to one worker, half of them end up at the other; who hangs up makes room."""
    async with two(tmp_path) as (one, _):
        clients = [await one.greeted() for _ in range(8)]
        assert sorted(name for name, _ in clients) == [b"1"] * 4 + [b"2"] * 4

        for name, writer in clients:
            if name == b"1":
                writer.close()
                await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert [(await one.greeted())[0] for _ in range(4)] == [b"1"] * 4


async def test_a_handed_connection_is_the_clients_own(tmp_path: Path) -> None:
    """Its address is known, and nothing of it is left at the first worker."""
    async with two(tmp_path) as (one, other):
        clients = [await one.greeted() for _ in range(2)]
        ((_, writer),) = [client for client in clients if client[0] == b"2"]
        (handed,) = other.connections.open
        assert handed.transport.get_extra_info("peername") == writer.get_extra_info("sockname")  # type: ignore[attr-defined]
        assert len(one.connections.open) == 1
        assert other.balance._coming == set()


async def test_what_was_handed_on_stays(tmp_path: Path) -> None:
    """Also where somebody else has fewer by the time it arrives: nothing goes round in circles."""
    async with two(tmp_path) as (one, other):
        one.balance.count(5)
        reader, writer = await asyncio.open_connection(*one.address())
        while not one.balance._handed[2]:
            await asyncio.sleep(0)
        other.balance.count(50)
        one.balance.count(0)
        assert await reader.readexactly(1) == b"2"
        writer.close()
        await writer.wait_closed()


async def test_who_is_not_ready_is_handed_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be done with refusing at once, and get everything; when it is ready it has its share."""
    monkeypatch.setattr(balance, "_BEAT_S", 0.01)
    async with two(tmp_path) as (one, other):
        other.ready = False
        await asyncio.sleep(0.05)
        assert [(await one.greeted())[0] for _ in range(4)] == [b"1"] * 4
        other.ready = True
        await asyncio.sleep(0.05)
        assert [(await one.greeted())[0] for _ in range(3)] == [b"2"] * 3


async def test_what_is_on_its_way_counts(tmp_path: Path) -> None:
    """Clients that come at once are shared out before the other worker had time to look."""
    async with two(tmp_path) as (one, _):
        found = await asyncio.gather(*(one.greeted() for _ in range(8)))
        assert sorted(name for name, _ in found) == [b"1"] * 4 + [b"2"] * 4


@pytest.mark.parametrize("how", ["it left", "it was killed", "its loop stands still", "it never was"])
async def test_who_is_not_there_is_handed_nothing(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection stays, and is served."""
    one, other = await Accepting(tmp_path, 1).listen(), Accepting(tmp_path, 2)
    if how != "it never was":
        await other.listen()
    if how == "it left":
        other.balance.leave()
    if how == "it was killed":
        other.die()
    if how == "its loop stands still":
        other.balance._beating.cancel()  # type: ignore[union-attr]
        now_ms = balance._now_ms()
        monkeypatch.setattr(balance, "_now_ms", lambda: now_ms + 2_500)
    try:
        assert [(await one.greeted())[0] for _ in range(6)] == [b"1"] * 6
    finally:
        await one.end()
        if how != "it was killed":
            await other.end()


async def test_who_takes_the_place_of_one_that_was_killed_is_handed_connections(tmp_path: Path) -> None:
    """Its numbers begin anew, and what was on its way to the one before, which is lost with it, does not count."""
    one = await Accepting(tmp_path, 1).listen()
    killed = await Accepting(tmp_path, 2).listen()
    assert sorted([(await one.greeted())[0] for _ in range(2)]) == [b"1", b"2"]
    for link in killed.balance._from:
        asyncio.get_running_loop().remove_reader(link)
    lost = [await asyncio.open_connection(*one.address()) for _ in range(4)]  # one's own are 3, on the way are 2
    while one.balance._handed[2] < 3 or len(one.connections.open) < 3:
        await asyncio.sleep(0.001)
    killed.connections.balance.count(100)  # type: ignore[union-attr]
    killed.die()

    again = await Accepting(tmp_path, 2).listen()
    await asyncio.sleep(0.002)
    assert [(await one.greeted())[0] for _ in range(4)] == [b"2", b"2", b"2", b"1"]
    for _, writer in lost:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await one.end()
    await again.end()


def test_a_number_beyond_the_table_is_a_mistake(tmp_path: Path) -> None:
    """It would write into another's row."""
    with pytest.raises(ValueError, match="worker 5 of 4"):
        Balance(Place(tmp_path, 5), 4, asyncio.Protocol, lambda: True)


async def test_a_client_that_is_gone_already_is_dropped(tmp_path: Path) -> None:
    """What arrives may be closed, or no connection at all; the next one is taken."""
    async with two(tmp_path) as (one, other):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        transport = SimpleNamespace(get_extra_info=lambda _: theirs)
        one.balance.count(5)
        assert one.balance.hands_on(transport)
        while not other.balance._taking:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert (other.connections.open, other.balance._coming, other.balance._taking) == (set(), set(), set())
        assert one.balance._has(2) == 0
        theirs.close()
        with pytest.raises(OSError, match=r"refused|reset|Broken"):  # nobody has the other end any more
            ours.send(b"")
        ours.close()
        assert (await one.greeted())[0] == b"2"
