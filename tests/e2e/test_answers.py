"""What two workers answer of real networks: embeddings, ten crops, labels, and what the cache saves."""

import asyncio
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.networks import Network, open_network
from tests.e2e.server import Server, serving
from tests.e2e.traffic import Connection, owner
from tests.factories import encode, make_image

pytestmark = pytest.mark.e2e
PHOTO = encode(make_image(160, 120, "RGB", seed=3), "JPEG")


@pytest.fixture(scope="module")
def server(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that keep answers."""
    settings = {"model_store": networks, "default_model": "lenet", "cache_entries": 100, "workers": 2}
    with serving(tmp_path_factory.mktemp("answers"), **settings) as started:
        yield started


@pytest.fixture(scope="module", params=["alexnet", "vgg11"])
def network(networks: Path, request: pytest.FixtureRequest) -> tuple[str, Network]:
    """A network that gives its features, and its name."""
    return request.param, open_network(networks, request.param)


async def connections_to_both(server: Server, each: int) -> list[Connection]:
    """So many connections to each worker."""
    workers = server.workers()
    assert len(workers) == 2
    found: dict[int, list[Connection]] = {pid: [] for pid in workers}
    while min(map(len, found.values())) < each:
        connection = await Connection.open(server.port)
        await connection.post("/v1/models", b"")  # refused, but only once a worker has taken the connection
        found[owner(connection.port, workers)].append(connection)
    for some in found.values():
        for spare in some[each:]:
            await spare.close()
    return [one for some in found.values() for one in some[:each]]


def ask_both(server: Server, target: str, body: bytes) -> list[Any]:
    """What each worker answers."""

    async def ask() -> list[Any]:
        answers = []
        for connection in await connections_to_both(server, 1):
            status, content = await connection.post(target, body)
            assert status == 200, content
            answers.append(content)
            await connection.close()
        return answers

    return asyncio.run(ask())


def test_embeddings_are_the_features_of_the_file(server: Server, network: tuple[str, Network]) -> None:
    """Every value, from each worker."""
    name, alone = network

    for content in ask_both(server, f"/v1/embed?model={name}", PHOTO):
        assert content["embedding"] == pytest.approx(alone.answer(PHOTO, "features").tolist(), abs=1e-5, rel=1e-4)
        assert len(content["embedding"]) == 2048


def test_ten_crops_are_the_mean_of_ten_answers(server: Server, network: tuple[str, Network]) -> None:
    """Of the probabilities and of the features, from each worker; it is not what one crop gives."""
    name, alone = network
    want = alone.answer(PHOTO, "probabilities", crops=10).tolist()

    for content in ask_both(server, f"/v1/classify?crops=10&model={name}", PHOTO):
        got = {one["class_id"]: one["probability"] for one in content["predictions"]}
        assert [got[class_id] for class_id in range(2)] == pytest.approx(want, abs=1e-5, rel=1e-4)
    for content in ask_both(server, f"/v1/embed?crops=10&model={name}", PHOTO):
        features = alone.answer(PHOTO, "features", crops=10).tolist()
        assert content["embedding"] == pytest.approx(features, abs=1e-5, rel=1e-4)
        assert content["embedding"] != pytest.approx(alone.answer(PHOTO, "features").tolist(), abs=1e-5, rel=1e-4)


def test_images_that_come_at_once_are_run_once_a_worker(server: Server) -> None:
    """Twenty-five connections to each of two workers, with one image: two runs, and 48 are shared or hit."""
    image = encode(make_image(400, 300, "RGB", seed=9), "JPEG")
    before = counts(server)

    async def all_at_once() -> list[Any]:
        connections = await connections_to_both(server, 25)
        answers = await asyncio.gather(*(one.post("/v1/classify?model=vgg11", image) for one in connections))
        for one in connections:
            await one.close()
        assert {status for status, _ in answers} == {200}
        return [content["predictions"] for _, content in answers]

    answers = asyncio.run(all_at_once())

    after = counts(server)
    grown = {key: after.get(key, 0) - before.get(key, 0) for key in after}
    assert (grown["run"], grown["miss"]) == (2, 2)
    assert grown.get("shared", 0) + grown.get("hit", 0) == 48
    assert all(answer == answers[0] for answer in answers)


def counts(server: Server) -> dict[str, float]:
    """Images of the VGG that were run, and of all models what the cache did with them; both workers together."""
    with server.client() as client:
        text = client.get("/metrics").text
    found = {key: float(value) for key, value in re.findall(r'cache_images_total{result="(\w+)"} (\S+)', text)}
    run = re.search(r'^classifier_images_total{model="vgg11",version="1"} (\S+)$', text, re.MULTILINE)
    return {**found, "run": float(run[1]) if run else 0.0}


def test_thresholds_labels_and_what_has_no_features(server: Server) -> None:
    """As one client sees them, base64 in JSON included."""
    encoded = {"images": [base64.b64encode(PHOTO).decode()] * 2}
    with server.client() as client:
        unsure = client.post("/v1/classify?threshold=1&model=alexnet", json=encoded).json()
        refused = client.post("/v1/embed", content=PHOTO)
        labels = client.get("/v1/models/vgg11/labels").json()

    assert [result["abstained"] for result in unsure["results"]] == [True, True]
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_param")
    assert labels == {"name": "vgg11", "version": 1, "labels": ["china", "flower"]}
