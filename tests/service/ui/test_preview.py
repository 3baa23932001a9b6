"""service/ui/preview.py: the pixels are those that evaluation and classification see."""

import io

import numpy as np
import pytest
from PIL import Image

from models.preprocess import DecodeLimits, preprocess
from tests.asgi import request
from tests.factories import encode, make_geometry, make_image, shipped_digit
from tests.service.conftest import StartWorker


@pytest.mark.parametrize(
    "data",
    [
        shipped_digit(3)[0],
        encode(make_image(640, 400, "RGB"), "JPEG"),
        encode(make_image(28, 28, "RGBA"), "WEBP", lossless=True),
    ],
    ids=["tiny", "photograph", "transparent"],
)
async def test_the_pixels_are_the_network_s(start_worker: StartWorker, data: bytes) -> None:
    """Bit for bit, as a PNG."""
    worker = await start_worker()

    answer = await request(worker.guard, "POST", "/v1/preprocess?model=lenet&version=1", data)

    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    pixels = np.asarray(Image.open(io.BytesIO(answer.body)))
    assert np.array_equal(
        pixels, preprocess(data, make_geometry(interpolation="bicubic", jpeg_draft=True), DecodeLimits())[..., 0]
    )


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("/v1/preprocess", b"no image", "unidentified"),
        ("/v1/preprocess", shipped_digit(1)[0][:60], "truncated"),
        ("/v1/preprocess?model=vgg", shipped_digit(1)[0], "unknown_model"),
        ("/v1/preprocess?version=0", shipped_digit(1)[0], "bad_param"),
        ("/v1/preprocess?top_k=1", shipped_digit(1)[0], "bad_param"),
    ],
)
async def test_what_cannot_be_shown_is_refused(start_worker: StartWorker, target: str, body: bytes, code: str) -> None:
    """As by classification; and its place in the queue is free again."""
    worker = await start_worker(queue_capacity=1)

    for _ in range(3):
        assert (await request(worker.guard, "POST", target, body)).json()["code"] == code

    assert (await request(worker.guard, "POST", "/v1/preprocess", shipped_digit(1)[0])).status == 200
