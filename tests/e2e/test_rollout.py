"""Versions that change while two workers serve: no request is lost, and none gets an answer of the wrong version."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.store import MANIFEST
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, Traffic, flowing
from tests.factories import encode, make_image
from tests.reporting import MUST_SHOW
from tests.stores import make_store

pytestmark = pytest.mark.e2e
IMAGE = encode(make_image())
Record = Callable[[str, object], None]  # of pytest, for the report


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two workers with three versions, of which the third is active."""
    make_store(tmp_path / "store", 3)
    with serving(tmp_path, model_store=tmp_path / "store", workers=2, queue_capacity=64) as started:
        yield started


async def change_under_load(server: Server, changes: int, requests: int) -> tuple[Traffic, Counter[str]]:
    """Promote and roll back in turn under load; return the traffic, and how often each was done.

    Every change makes another version the active one: the first or the second, and back to the third.
    """
    done: Counter[str] = Counter()
    async with flowing(server.port, 32, IMAGE, 3) as traffic:
        await traffic.until(requests // changes // 2)
        admin = await Connection.open(server.port)
        active, previous, generation = 3, 3, 0
        for number in range(changes):
            if number % 2:
                verb, body, new = "rollback", b"", previous
            else:
                new = 1 + number // 2 % 2
                verb, body = "promote", b'{"version": %d}' % new
            assert new != active
            traffic.allow(active, new)
            status, content = await admin.post(f"/v1/models/lenet/{verb}", body)
            assert (status, content["plan"]["active"]) == (200, new), content
            assert content["generation"] > generation
            traffic.allow(new)
            done[verb] += 1
            generation, previous, active = content["generation"], active, new
            await traffic.until(requests * (number + 1) // changes)
        await admin.close()
    return traffic, done


def test_promotions_and_rollbacks_lose_no_request(server: Server) -> None:
    """A few, with each answer checked; two worker processes do the work."""
    assert len(server.workers()) == 2

    traffic, done = asyncio.run(change_under_load(server, 6, 6_000))

    assert traffic.faults == []
    assert traffic.answered >= 6_000
    assert done == {"promote": 3, "rollback": 3}


@pytest.mark.slow
def test_twenty_promotions_and_rollbacks_under_fifty_thousand_requests(server: Server, record_property: Record) -> None:
    """Twenty of each: no request fails, and each is answered by the version that it names."""
    traffic, done = asyncio.run(change_under_load(server, 40, 50_000))

    record_property(
        MUST_SHOW, "20 promotions and rollbacks under load, 50,000 requests: 0 failed, none by another version"
    )
    record_property("requests answered", f"{traffic.answered:,}")
    record_property("failed, or answered by another version", len(traffic.faults))
    for verb, times in done.items():
        record_property(verb, times)
    assert traffic.faults == []
    assert traffic.answered >= 50_000
    assert done == {"promote": 20, "rollback": 20}


def copy_slowly(source: Path, target: Path, pieces: int) -> None:
    """Copy a version's files piece by piece, its manifest first: the worst that a careless copy can do."""
    target.mkdir()
    for name in (MANIFEST, "golden.npz", "model.onnx"):
        data = (source / name).read_bytes()
        step = -(-len(data) // pieces)
        with (target / name).open("wb", buffering=0) as file:
            for start in range(0, len(data), step):
                file.write(data[start : start + step])
                time.sleep(0.05)


async def states(server: Server, version: int) -> set[str]:
    """State and reason of a version, from as many connections as it takes to meet both workers."""
    found = set()
    for _ in range(8):
        with server.client() as client:
            summary = client.get("/v1/models/lenet").json()
        found |= {f"{one['state']} {one.get('reason', '')}" for one in summary["versions"] if one["version"] == version}
        await asyncio.sleep(0)
    return found


def test_a_version_that_is_copied_slowly_is_served_when_it_is_whole(server: Server, tmp_path: Path) -> None:
    """And not a moment before; requests go on, on the old one and then on the new one."""
    make_store(tmp_path / "aside", 4)

    async def run() -> None:
        async with flowing(server.port, 8, IMAGE, 3) as traffic:
            copying = asyncio.to_thread(copy_slowly, tmp_path / "aside/lenet/4", tmp_path / "store/lenet/4", 20)
            half = asyncio.create_task(copying)
            await asyncio.sleep(1.2)
            assert not half.done()
            assert all(one.startswith("UNAVAILABLE") for one in await states(server, 4))
            traffic.allow(3, 4)
            await half
            while await states(server, 4) != {"READY "}:
                await asyncio.sleep(0.1)
            traffic.allow(4)
            await traffic.until(traffic.answered + 200)
        assert traffic.faults == []

    asyncio.run(asyncio.wait_for(run(), 60))
