"""service/oip/repository.py: the index, loading and unloading."""

import pytest

from service.rollout.watch import Watch
from service.worker import Worker
from tests.asgi import Answer, request
from tests.service.conftest import StartWorker


async def post(worker: Worker, path: str, body: bytes = b"") -> Answer:
    """POST to the repository."""
    return await request(worker.guard, "POST", f"/v2/repository{path}", body)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b'{"ready": false}'])
@pytest.mark.parametrize("path", ["/index", "/main/index"])
async def test_the_index_has_both_faces(start_worker: StartWorker, path: str, body: bytes) -> None:
    """With an empty body, too."""
    answer = await post(await start_worker(), path, body)

    assert answer.json() == [
        {"name": name, "version": "1", "state": "READY", "reason": ""} for name in ("lenet", "lenet-image")
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"ready": 1}', b"[" * 1000])
async def test_a_bad_question_for_the_index_is_refused(start_worker: StartWorker, body: bytes) -> None:
    """As any other bad request."""
    answer = await post(await start_worker(), "/index", body)

    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("name", ["lenet", "lenet-image"])
async def test_a_model_comes_and_goes_with_both_faces(start_worker: StartWorker, name: str) -> None:
    """In the index it stays, with the reason."""
    worker = await start_worker()
    await Watch(worker.control).scan()  # as it does every second

    gone = await post(worker, f"/models/{name}/unload", b'{"parameters": {"unload_dependents": true}}')
    ready = await request(worker.guard, "GET", "/v2/models/lenet-image/ready")
    index, index_ready = await post(worker, "/index"), await post(worker, "/index", b'{"ready": true}')
    back = await post(worker, f"/main/models/{name}/load", b"{}")
    again = await post(worker, f"/models/{name}/load")

    assert (gone.status, ready.status, back.status, again.status) == (200, 503, 200, 200)
    assert [(line["name"], line["state"]) for line in index.json()] == [
        ("lenet", "UNAVAILABLE"),
        ("lenet-image", "UNAVAILABLE"),
    ]
    assert index_ready.json() == []
    assert (await request(worker.guard, "GET", "/v2/models/lenet-image/ready")).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/models/nobody/load", b"", 404, "unknown_model"),
        ("/models/nobody/unload", b"", 404, "unknown_model"),
        ("/models/lenet/load", b'{"parameters": {"config": "{}"}}', 501, "unsupported"),
        ("/models/lenet/load", b'{"parameters": {"file:1/model.onnx": "YQ=="}}', 501, "unsupported"),
        ("/models/lenet/load", b'{"parameters": null}', 200, None),
        ("/models/lenet/load", b'{"parameters": false}', 400, "bad_request"),
        ("/models/lenet/load", b'{"parameters": [1]}', 400, "bad_request"),
        ("/models/lenet/unload", b'{"parameters": {"unload_dependents": 1}}', 400, "bad_request"),
        ("/models/lenet/unload", b"no", 400, "bad_request"),
    ],
)
async def test_what_cannot_be_changed_is_refused(
    start_worker: StartWorker, path: str, body: bytes, status: int, code: str | None
) -> None:
    """And the model serves on."""
    worker = await start_worker()

    answer = await post(worker, path, body)

    assert (answer.status, answer.json().get("code")) == (status, code)
    assert (await request(worker.guard, "GET", "/v2/models/lenet/ready")).status == 200


async def test_changing_takes_an_admin(start_worker: StartWorker) -> None:
    """As the routes of the same effect do."""
    worker = await start_worker()

    roles = {route.template: route.role for route in worker._app.routes if "/repository" in route.template}

    assert {template.rpartition("/")[2]: role for template, role in roles.items()} == {
        "index": "classify",
        "load": "admin",
        "unload": "admin",
    }
