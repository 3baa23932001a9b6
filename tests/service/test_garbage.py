"""No request leaves work for the garbage collector, which seldom comes by, and meanwhile its body would stay."""

import asyncio
import base64
import gc
import json
from collections.abc import Iterator

import pytest

from service.worker import Worker
from tests.asgi import HANGS_UP, Message, chunk, request
from tests.factories import encode, make_image, shipped_digit
from tests.service.conftest import StartWorker

PHOTO = encode(make_image(1_200, 900), "JPEG")  # is decoded in a thread
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
TENSOR = "/v2/models/lenet/infer"
FILES = "/v2/models/lenet-image/infer"
RAW = {"Inference-Header-Content-Length": "0"}
HURRY = {"X-Request-Timeout-Ms": "1"}


def files(*contents: bytes) -> bytes:
    """Files in JSON."""
    return json.dumps({"images": [base64.b64encode(content).decode() for content in contents]}).encode()


def oip(*contents: bytes) -> bytes:
    """Files as one tensor."""
    data = [base64.b64encode(content).decode() for content in contents]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.fixture
def _keeps_garbage() -> Iterator[None]:
    yield
    gc.set_debug(0)
    gc.garbage.clear()


@pytest.mark.usefixtures("_keeps_garbage")
@pytest.mark.parametrize("cache_entries", [0, 8])
async def test_no_request_leaves_garbage(start_worker: StartWorker, cache_entries: int) -> None:
    """Answered, in part, refused by whichever part of the service, too late, or given up."""
    worker = await start_worker(cache_entries=cache_entries, max_body_bytes=1_000_000, queue_capacity=10)
    digit, _ = shipped_digit(7)
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    requests: list[tuple[str, bytes, dict[str, str], int]] = [
        ("/v1/classify", digit, {}, 200),
        ("/v1/classify", PHOTO, {}, 200),
        ("/v1/classify", b"no image", {}, 422),
        ("/v1/classify", PHOTO[:-500], {}, 422),
        ("/v1/classify?crops=10", digit[:-60], {}, 422),
        ("/v1/classify?top_k=0", digit, {}, 422),
        ("/v1/classify", bytes(1_000_001), {}, 413),
        ("/v1/classify", files(digit, b"no image", PHOTO, PHOTO[:-500]), JSON, 200),
        ("/v1/classify?crops=10", files(digit, PHOTO), JSON, 503),
        ("/v1/classify", b"{", JSON, 400),
        ("/v1/classify", part + digit + b"\r\n" + part + b"no image\r\n--b--\r\n", FORM, 200),
        ("/v1/classify", part + digit, FORM, 400),
        ("/v1/classify", encode(make_image(3_000, 2_000), "JPEG"), HURRY, 504),
        ("/v1/embed", digit, {}, 422),
        ("/v1/nothing", b"", {}, 404),
        (FILES, digit, RAW, 200),
        (FILES, b"no image", RAW, 422),
        (FILES, oip(digit, b"no image"), {}, 422),
        (TENSOR, b'{"inputs": []}', {}, 400),
        (TENSOR, b"no gzip", {"Content-Encoding": "gzip"}, 400),
    ]
    gone = [chunk(PHOTO, more=True), HANGS_UP]
    for _ in range(2):  # the first time makes what stays
        found = [await left_by(worker, target, body, headers, status) for target, body, headers, status in requests]
        found.append(await left_by(worker, "/v1/classify", gone, {}, 0))

    assert found == [[]] * len(found)


@pytest.mark.usefixtures("_keeps_garbage")
@pytest.mark.parametrize("fault", ["device", "decoder"])
async def test_nor_does_what_fails(start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Here, or at the device: with the pixels of a whole batch."""
    worker = await start_worker(max_failures=1_000)

    def fail(*_: object) -> None:
        raise RuntimeError("on fire")

    if fault == "device":
        monkeypatch.setattr(worker._engine.models()[0].batcher._device, "_run", fail)
    else:
        monkeypatch.setattr("service.decoder.preprocess", fail)
    for _ in range(2):
        found = [
            await left_by(worker, "/v1/classify", PHOTO, {}, 500),
            await left_by(worker, "/v1/classify", files(PHOTO, PHOTO), JSON, 200 if fault == "device" else 500),
            await left_by(worker, FILES, PHOTO, RAW, 500),
        ]

    assert found == [[]] * len(found)


async def left_by(
    worker: Worker, target: str, body: bytes | list[Message], headers: dict[str, str], status: int
) -> list[str]:
    """What only the garbage collector ends of a request with that answer."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    answer = await request(worker.guard, "POST", target, body, headers)
    assert answer.status == status, (target, answer.body)
    await asyncio.sleep(0.01)  # until the thread that decodes has let go
    gc.collect()
    found = [type(one).__qualname__ for one in gc.garbage]
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()
    return found
