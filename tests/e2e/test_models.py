"""Several models in one server: mixed load, what is loaded and unloaded, and everything that can be asked of them."""

import asyncio
import base64
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, flowing
from tests.factories import encode, make_image
from tests.stores import make_store, put_version

pytestmark = pytest.mark.e2e
IMAGE = encode(make_image())
MODELS = {"alexnet": 60_000_000, "vgg": 120_000_000}  # bytes of weights, beside lenet's few


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One worker with three models; two of them are large."""
    make_store(tmp_path / "store")
    for favourite, (name, weights) in enumerate(MODELS.items(), 2):
        put_version(tmp_path / "store", name, favourite, weights=weights, spec={"features": 6})
    with serving(tmp_path, model_store=tmp_path / "store", default_model="lenet", cache_entries=100) as started:
        yield started


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def post(server: Server, path: str, **options: Any) -> httpx2.Response:
    """POST on a connection of its own."""
    with server.client() as client:
        return client.post(path, **options)


async def mixed_load(port: int, requests: int) -> None:
    """Ask all three models at once on twelve connections; each answers for itself."""
    favourites = {"lenet": 1, "alexnet": 2, "vgg": 3}

    async def ask(name: str) -> None:
        connection = await Connection.open(port)
        for _ in range(requests // 12):
            status, content = await connection.post(f"/v1/classify?model={name}", encode(make_image(seed=_)))
            assert status == 200, content
            assert content["model"]["name"] == name
            assert content["predictions"][0]["class_id"] == favourites[name]
        await connection.close()

    async with asyncio.TaskGroup() as group:
        for name in [*favourites] * 4:
            group.create_task(ask(name))


@pytest.fixture
def lean(tmp_path: Path) -> Iterator[Server]:
    """The same, with the two large ones never loaded yet."""
    make_store(tmp_path / "store")
    for favourite, (name, weights) in enumerate(MODELS.items(), 2):
        put_version(tmp_path / "store", name, favourite, weights=weights)
    plan = {"models": {name: {"loaded": False} for name in MODELS}}
    (tmp_path / "store" / "deployment.json").write_text(json.dumps(plan))
    with serving(tmp_path, model_store=tmp_path / "store", default_model="lenet") as started:
        yield started


def test_three_models_are_served_at_once_and_unloading_gives_the_memory_back(lean: Server) -> None:
    """Resident memory is back within 10% of what it was before they came, each time that they come and go."""
    server = lean
    (worker,) = server.workers()
    asyncio.run(flow(server))
    before = settled(worker)
    for _ in range(3):
        for name in MODELS:
            assert post(server, f"/v1/models/{name}/load").status_code == 200
        asyncio.run(mixed_load(server.port, 600))
        assert resident_bytes(worker) > before + 150_000_000
        for name in MODELS:
            assert post(server, f"/v1/models/{name}/unload").status_code == 200
            assert post(server, f"/v1/classify?model={name}", content=IMAGE).status_code == 404

        assert settled(worker) < before * 1.1


async def flow(server: Server) -> None:
    """Some load on the model that stays."""
    async with flowing(server.port, 12, IMAGE, 1) as traffic:
        await traffic.until(500)
    assert traffic.faults == []


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


def test_what_can_be_asked_of_images(server: Server) -> None:
    """Embeddings, ten crops, a threshold, base64, labels: as one client sees them."""
    encoded = {"images": [base64.b64encode(IMAGE).decode()] * 2}

    embedded = post(server, "/v1/embed?model=vgg", content=IMAGE).json()
    ten = post(server, "/v1/classify?crops=10&threshold=1&model=alexnet", json=encoded).json()
    refused = post(server, "/v1/embed", content=IMAGE)
    with server.client() as client:
        labels = client.get("/v1/models/vgg/labels").json()

    assert len(embedded["embedding"]) == 6
    assert [result["abstained"] for result in ten["results"]] == [True, True]
    assert ten["results"][0]["predictions"][0]["class_id"] == 2
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_param")
    assert labels == {"name": "vgg", "version": 1, "labels": list("0123456789")}


def test_identical_images_at_the_same_time_are_run_once(server: Server) -> None:
    """Fifty connections; the rest is counted as shared or hit."""
    image = encode(make_image(400, 300, "RGB", seed=9), "JPEG")

    async def all_at_once() -> set[str]:
        connections = [await Connection.open(server.port) for _ in range(50)]
        answers = await asyncio.gather(*(one.post("/v1/classify?model=vgg", image) for one in connections))
        for one in connections:
            await one.close()
        assert {status for status, _ in answers} == {200}
        return {str(content["predictions"]) for _, content in answers}

    assert len(asyncio.run(all_at_once())) == 1

    with server.client() as client:
        text = client.get("/metrics").text
    found = {key: float(value) for key, value in re.findall(r'cache_images_total{result="(\w+)"} (\S+)', text)}
    assert found["miss"] == 1
    assert found.get("shared", 0) + found.get("hit", 0) == 49
    assert 'classifier_images_total{model="vgg",version="1"} 1.0' in text


def test_a_folder_that_is_one_model_is_served_under_a_name(tmp_path: Path) -> None:
    """As model servers get theirs mounted: the version's files at the root, no name in the path."""
    make_store(tmp_path / "store", 2)
    shutil.copytree(tmp_path / "store" / "lenet" / "2", tmp_path / "mnt")
    with serving(tmp_path, model_store=tmp_path / "mnt", served_name="digits") as server:
        answer = post(server, "/v1/classify", content=IMAGE).json()

        assert answer["model"] == {"name": "digits", "version": 2, "precision": "fp32"}
        assert post(server, "/v1/classify?model=lenet", content=IMAGE).status_code == 404
