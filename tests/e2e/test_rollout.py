"""Versions that change while two workers serve: no request is lost, and none gets an answer of the wrong version."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, flowing
from tests.factories import encode, make_image
from tests.stores import make_store

pytestmark = pytest.mark.e2e
IMAGE = encode(make_image())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two workers with three versions, of which the third is active."""
    make_store(tmp_path / "store", 3)
    with serving(tmp_path, model_store=tmp_path / "store", workers=2, queue_capacity=64) as started:
        yield started


async def change_under_load(server: Server, changes: int, requests: int) -> int:
    """Promote and roll back in turn under load; return how many requests were answered, all of them well."""
    async with flowing(server.port, 32, IMAGE, 3) as traffic:
        await traffic.until(requests // changes // 2)
        admin = await Connection.open(server.port)
        active, previous = 3, None
        for number in range(changes):
            if number % 2 or previous is None:
                verb, body, new = "promote", b'{"version": %d}' % (1 + number // 2 % 2), 1 + number // 2 % 2
            else:
                verb, body, new = "rollback", b"", previous
            traffic.allow(active, new)
            status, content = await admin.post(f"/v1/models/lenet/{verb}", body)
            assert status == 200, content
            traffic.allow(new)
            active, previous = new, active if new != active else previous
            await traffic.until(requests * (number + 1) // changes)
        admin.close()
    assert traffic.faults == []
    return traffic.answered


def test_promotions_and_rollbacks_lose_no_request(server: Server) -> None:
    """A few, with each answer checked; two worker processes do the work."""
    assert len(server.workers()) == 2

    assert asyncio.run(change_under_load(server, 6, 6_000)) >= 6_000


@pytest.mark.slow
def test_twenty_promotions_and_rollbacks_under_fifty_thousand_requests(server: Server) -> None:
    """Twenty of each."""
    assert asyncio.run(change_under_load(server, 40, 50_000)) >= 50_000
