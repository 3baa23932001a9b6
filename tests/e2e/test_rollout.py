"""Versions that change while two workers serve: no request is lost, and none gets an answer of the wrong version."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.store import MANIFEST
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, flowing
from tests.factories import encode, make_image
from tests.stores import make_store, put_version

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
        await admin.close()
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


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


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


@pytest.mark.slow
def test_fifty_bad_versions_under_load_leave_no_memory_behind(server: Server, tmp_path: Path) -> None:
    """Each is refused with its reason by the server as a whole; the old one answers every request."""
    put_version(tmp_path / "aside", favourite=5, weights=8_000_000)
    content = (tmp_path / "aside/lenet/1/model.onnx").read_bytes()
    bad = tmp_path / "store" / "lenet"

    async def run() -> None:
        async with flowing(server.port, 8, IMAGE, 3) as traffic:
            sizes = []
            for number in range(4, 54):
                (bad / ".new").mkdir()
                for name in (MANIFEST, "golden.npz"):
                    data = (tmp_path / "aside/lenet/1" / name).read_bytes()
                    (bad / ".new" / name).write_bytes(data.replace(b'"version": 1', b'"version": %d' % number))
                (bad / ".new" / "model.onnx").write_bytes(content)
                (bad / ".new").rename(bad / str(number))
                while not any("its spec speaks of lenet version 1" in one for one in await states(server, number)):
                    await asyncio.sleep(0.1)
                sizes.append(max(resident_bytes(pid) for pid in server.workers()))
        assert traffic.faults == []
        assert min(sizes[-10:]) - min(sizes[5:15]) < 16_000_000  # two of them; if each stayed it would be 400 MB

    asyncio.run(asyncio.wait_for(run(), 280))
