"""service/oip/routes.py: what is served and how it is, with the shipped model behind it."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.catalog import Canary, Lineup, ServedModel
from service.rollout import edits
from service.session import Session
from service.worker import Worker
from tests.asgi import Answer, request
from tests.factories import shipped_digit
from tests.service.conftest import StartWorker


async def get(worker: Worker, path: str) -> Answer:
    """GET a path."""
    return await request(worker.guard, "GET", path)


def as_version(model: ServedModel, version: int) -> ServedModel:
    """The same network and queue under another version."""
    session = model.loaded.session
    changed = Session(session._inference, session.spec.model_copy(update={"version": version}), session.placement)
    return ServedModel(replace(model.loaded, session=changed), model.batcher)


async def test_the_server_says_what_it_is(start_worker: StartWorker) -> None:
    """With the extensions that it speaks, and none that it does not."""
    answer = await get(await start_worker(), "/v2")

    assert answer.json()["name"] == "convserve"
    assert {"classification", "binary_tensor_data", "statistics"} <= set(answer.json()["extensions"])
    assert not {"trace", "logging", "system_shared_memory", "cuda_shared_memory"} & set(answer.json()["extensions"])


async def test_a_worker_that_is_ready_says_so(start_worker: StartWorker) -> None:
    """As a server, and for each face of its model."""
    worker = await start_worker()

    assert (await get(worker, "/v2/health/live")).json() == {"live": True}
    assert (await get(worker, "/v2/health/ready")).json() == {"ready": True}
    for name in ("lenet", "lenet-image"):
        for path in (f"/v2/models/{name}/ready", f"/v2/models/{name}/versions/1/ready"):
            assert (await get(worker, path)).json() == {"name": name, "ready": True}


async def test_a_worker_that_is_not_ready_says_when_to_ask_again(start_worker: StartWorker) -> None:
    """Also for its models; it lives all the same."""
    worker = await start_worker()
    worker._phase = "warming up"

    for path in ("/v2/health/ready", "/v2/models/lenet/ready"):
        answer = await get(worker, path)
        assert (answer.status, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_ready", "1")
    assert (await get(worker, "/v2/health/live")).status == 200


async def test_faces_are_described(start_worker: StartWorker) -> None:
    """One takes a tensor, the other files; both give the same outputs, for any number of images."""
    worker = await start_worker()
    outputs = [{"name": name, "datatype": "FP32", "shape": [-1, 10]} for name in ("logits", "probabilities")]

    tensor = (await get(worker, "/v2/models/lenet")).json()
    image = (await get(worker, "/v2/models/lenet-image/versions/1")).json()

    assert tensor == {
        "name": "lenet",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}],
        "outputs": outputs,
    }
    assert image == {
        "name": "lenet-image",
        "versions": ["1"],
        "platform": "convserve_image_onnx",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
        "outputs": outputs,
    }


async def test_the_configuration_has_the_limits(start_worker: StartWorker) -> None:
    """In Triton's words; dims leave out the number of images."""
    worker = await start_worker(max_images=7, max_batch_size=16, max_wait_ms=2.5)

    tensor = (await get(worker, "/v2/models/lenet/config")).json()
    image = (await get(worker, "/v2/models/lenet-image/versions/1/config")).json()

    assert tensor["input"] == [{"name": "images", "data_type": "TYPE_UINT8", "dims": [28, 28, 1]}]
    assert tensor["output"][1] == {
        "name": "probabilities",
        "data_type": "TYPE_FP32",
        "dims": [10],
        "label_filename": "",
    }
    assert (tensor["max_batch_size"], tensor["instance_group"][0]["kind"]) == (7, "KIND_CPU")
    assert tensor["dynamic_batching"]["preferred_batch_size"] == [16]
    assert tensor["dynamic_batching"]["max_queue_delay_microseconds"] == 2500
    assert image["input"] == [{"name": "image", "data_type": "TYPE_STRING", "dims": []}]
    assert image["name"] == "lenet-image"


async def test_every_route_is_documented(start_worker: StartWorker) -> None:
    """But those of single versions, which are described together, and those that are not offered."""
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    routes = [route for route in (await start_worker())._app.routes if route.template.startswith("/v2")]
    plain = [route for route in routes if "{version}" not in route.template and "sharedmemory" not in route.template]

    assert len(plain) >= 10
    for route in plain:
        ending = route.template.removeprefix("/v2/models/{name}")
        template = route.template.replace("/{repository}", "", "/models/" in route.template)
        assert f"{next(iter(route.handlers))} {template}`" in text or f"`{ending}`" in text


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/vgg16",
        "/v2/models/vgg16-image/ready",
        "/v2/models/lenet/versions/2/config",
        "/v2/models/lenet/versions/one",
        "/v2/models/lenet/versions/-1/ready",
        "/v2/models/lenet/versions/" + "9" * 5000,
        "/v2/models/lenet-image-image",
        "/v2/models/lenet/versions/2/stats",
    ],
)
async def test_what_is_not_served_is_not_found(start_worker: StartWorker, path: str) -> None:
    """Neither other models nor other versions."""
    answer = await get(await start_worker(), path)

    assert (answer.status, answer.json()["code"]) == (404, "unknown_model")


async def test_before_a_model_is_loaded_it_is_not_ready(start_worker: StartWorker) -> None:
    """Which is not the same as not being there."""
    worker = await start_worker()
    assert worker._watching is not None
    worker._watching.cancel()
    worker._engine.catalog.serve({}, None)

    answer = await get(worker, "/v2/models/lenet")

    assert (answer.status, answer.json()["code"]) == (503, "not_ready")


async def test_the_configuration_follows_the_plan(start_worker: StartWorker) -> None:
    """Where it says something else than the settings."""
    worker = await start_worker()
    await worker.control.change("lenet", lambda plan: edits.configure(plan, {"max_batch_size": 8}), "a test")

    batching = (await get(worker, "/v2/models/lenet/config")).json()["dynamic_batching"]

    assert batching["preferred_batch_size"] == [8]
    assert batching["default_queue_policy"]["max_queue_size"] == 512


async def test_a_canary_answers_in_its_own_name(start_worker: StartWorker) -> None:
    """The version in the answer is the one that made it, and one client stays on one side."""
    worker = await start_worker()
    assert worker._watching is not None
    worker._watching.cancel()  # what is served here is in no deployment file
    lineup = worker._engine.catalog.lineups["lenet"]
    second = as_version(lineup.active, 2)
    worker._engine.catalog.serve({"lenet": Lineup.of(lineup.active, second, canary=Canary(second, 50))}, "lenet")
    raw = {"Inference-Header-Content-Length": "0", "Accept": "application/json"}

    answers = [
        await request(
            worker.guard,
            "POST",
            "/v2/models/lenet-image/infer",
            shipped_digit()[0],
            {**raw, "X-Client-ID": str(i // 2)},
        )
        for i in range(40)
    ]

    versions = [answer.json()["model_version"] for answer in answers]
    assert set(versions) == {"1", "2"}
    assert versions[::2] == versions[1::2]
    assert (await get(worker, "/v2/models/lenet")).json()["versions"] == ["1", "2"]
    assert (await get(worker, "/v2/models/lenet/versions/2")).json()["versions"] == ["2"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/models/lenet/infer", 405, "method"),
        ("POST", "/v2/models/lenet", 405, "method"),
        ("GET", "/v2/repository/index", 405, "method"),
        ("GET", "/v2/trace/setting", 404, "not_found"),
        ("GET", "/v2/logging", 404, "not_found"),
        ("GET", "/v2/", 404, "not_found"),
        ("GET", "/v2/systemsharedmemory/status", 501, "unsupported"),
        ("POST", "/v2/cudasharedmemory/region/r/register", 501, "unsupported"),
    ],
)
async def test_what_is_not_offered_is_refused(
    start_worker: StartWorker, method: str, path: str, status: int, code: str
) -> None:
    """With the shape that every error has."""
    answer = await request((await start_worker()).guard, method, path)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code", "request_id"}
