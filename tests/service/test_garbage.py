"""No request leaves work for the garbage collector, which seldom comes by, and meanwhile its body would stay."""

import asyncio
import base64
import gc
import json

from tests.asgi import HANGS_UP, chunk, request
from tests.factories import encode, make_image, shipped_digit
from tests.service.conftest import StartWorker

PHOTO = encode(make_image(400, 300), "JPEG")
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


async def test_no_request_leaves_garbage(start_worker: StartWorker) -> None:
    """Answered, in part, refused by whichever part of the service, too late, or given up."""
    worker = await start_worker(cache_entries=8, max_body_bytes=1_000_000, queue_capacity=10)
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
    found = {}
    for _ in range(2):  # the first time makes what stays
        for index, (target, body, headers, status) in enumerate(requests):
            collect_later()
            answer = await request(worker.guard, "POST", target, body, headers)
            assert answer.status == status, (target, answer.body)
            found[index] = await collected()
        collect_later()
        await request(worker.guard, "POST", "/v1/classify", gone)
        found[len(requests)] = await collected()

    assert found == {key: [] for key in found}


def collect_later() -> None:
    """From here on garbage is kept to be looked at."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)


async def collected() -> list[str]:
    """What only the garbage collector has ended since."""
    try:
        await asyncio.sleep(0.01)  # until the thread that decodes has let go
        gc.collect()
        return [type(one).__qualname__ for one in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()
