"""Several real networks in one server: mixed load, and what is loaded and unloaded."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.e2e.networks import NAMES, open_network
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection
from tests.factories import encode, make_image
from tests.reporting import MUST_SHOW
from tests.stores import make_store

pytestmark = pytest.mark.e2e
PHOTOS = [encode(make_image(120, 90, "RGB", seed=seed), "JPEG") for seed in range(4)]
COMING = NAMES[1:]
Expected = dict[str, list[np.ndarray]]


@pytest.fixture
def expected(networks: Path) -> Expected:
    """The probabilities (K,) of each network's file for each photo."""
    return {name: [open_network(networks, name).answer(photo, "probabilities") for photo in PHOTOS] for name in NAMES}


@pytest.fixture
def server(networks: Path, tmp_path: Path) -> Iterator[Server]:
    """One worker with LeNet; AlexNet and VGG have never been loaded."""
    shutil.copytree(networks, tmp_path / "store")
    plan = {"models": {name: {"loaded": False} for name in COMING}}
    (tmp_path / "store" / "deployment.json").write_text(json.dumps(plan))
    with serving(tmp_path, model_store=tmp_path / "store", default_model="lenet") as started:
        yield started


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def post(server: Server, path: str, **options: Any) -> httpx2.Response:
    """POST on a connection of its own."""
    with server.client() as client:
        return client.post(path, **options)


async def mixed_load(port: int, expected: Expected, names: tuple[str, ...], requests: int) -> None:
    """Ask these models at once on twelve connections; each answers for itself what its file answers."""
    share = requests // 12

    async def ask(name: str, first: int) -> None:
        connection = await Connection.open(port)
        for number in range(first, first + share):
            want = expected[name][number % len(PHOTOS)]
            status, content = await connection.post(
                f"/v1/classify?model={name}&top_k={len(want)}", PHOTOS[number % len(PHOTOS)]
            )
            assert status == 200, content
            assert content["model"]["name"] == name
            got = {one["class_id"]: one["probability"] for one in content["predictions"]}
            assert [got[class_id] for class_id in range(len(want))] == pytest.approx(want.tolist(), abs=1e-5)
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for place in range(12):
            group.create_task(ask(names[place % len(names)], place))


def test_three_networks_are_served_at_once_and_unloading_gives_the_memory_back(
    server: Server, expected: Expected, record_property: Any
) -> None:
    """Resident memory is back within 10% of what it was before they came, each time that they come and go."""
    record_property(MUST_SHOW, "LeNet, AlexNet and VGG in one process; unloading gives the memory back within 10%")
    (worker,) = server.workers()
    asyncio.run(mixed_load(server.port, expected, NAMES[:1], 600))
    before = settled(worker)
    record_property("MiB with LeNet alone", round(before / 2**20, 1))
    for _ in range(3):
        for name in COMING:
            assert post(server, f"/v1/models/{name}/load").status_code == 200
        asyncio.run(mixed_load(server.port, expected, NAMES, 600))
        with_all = resident_bytes(worker)
        assert with_all > before + 40_000_000
        for name in COMING:
            assert post(server, f"/v1/models/{name}/unload").status_code == 200
            assert post(server, f"/v1/classify?model={name}", content=PHOTOS[0]).status_code == 404

        after = settled(worker)
        record_property("MiB with all three", round(with_all / 2**20, 1))
        record_property("MiB when two are unloaded", round(after / 2**20, 1))
        assert after < before * 1.1


def settled(pid: int) -> int:
    """Resident memory when it has stopped falling: what is retired goes when its last request is answered."""
    sizes = [resident_bytes(pid)]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.2)
        sizes.append(resident_bytes(pid))
        if len(sizes) > 5 and sizes[-5] - sizes[-1] < 100_000:
            break
    return sizes[-1]


def test_a_folder_that_is_one_model_is_served_under_a_name(tmp_path: Path) -> None:
    """As model servers get theirs mounted: the version's files at the root, no name in the path."""
    make_store(tmp_path / "store", 2)
    shutil.copytree(tmp_path / "store" / "lenet" / "2", tmp_path / "mnt")
    with serving(tmp_path, model_store=tmp_path / "mnt", served_name="digits") as server:
        answer = post(server, "/v1/classify", content=PHOTOS[0]).json()

        assert answer["model"] == {"name": "digits", "version": 2, "precision": "fp32"}
        assert post(server, "/v1/classify?model=lenet", content=PHOTOS[0]).status_code == 404
