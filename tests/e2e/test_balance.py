"""Two workers of the real server share a client's connections out evenly, also after one of them was killed."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, owner
from tests.factories import shipped_digit

pytestmark = pytest.mark.e2e
_CLIENTS, _LEAST = 32, 12  # connections, and how many of them each of two workers has at least


async def owners(server: Server) -> list[int]:
    """Connect many clients at once, have each answered, and return how many each worker has."""
    image, _ = shipped_digit(7)
    clients = await asyncio.gather(*(Connection.open(server.port) for _ in range(_CLIENTS)))
    answers = await asyncio.gather(*(client.post("/v1/classify?top_k=1", image) for client in clients))
    workers = server.workers()
    found = Counter(owner(client.port, workers) for client in clients)
    for client in clients:
        await client.close()
    await asyncio.sleep(0.3)  # until the workers know
    assert [status for status, _ in answers] == [200] * _CLIENTS
    return sorted(found.values())


async def all_have_a_share(server: Server) -> bool:
    """Tell whether two workers have about as many connections, three times in a row."""
    shares = [await owners(server) for _ in range(3)]
    return all(len(share) == 2 and min(share) >= _LEAST for share in shares)


async def becomes_even(server: Server, within_s: float) -> None:
    """Wait until connections are shared out evenly, and see that it stays so."""
    until = time.monotonic() + within_s
    while len(server.workers()) < 2 or not await all_have_a_share(server):
        assert time.monotonic() < until, "a worker has no share"
        await asyncio.sleep(0.5)
    assert await all_have_a_share(server)


async def test_connections_are_shared_out_evenly(tmp_path: Path) -> None:
    """Whoever accepts them; a worker that took the place of another has its share of what comes next."""
    with serving(tmp_path, workers=2) as server:
        await becomes_even(server, within_s=20)

        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        while killed in server.workers():
            await asyncio.sleep(0.1)
        await becomes_even(server, within_s=40)
