"""service/infer.py and images.py: what can be asked of images, and in which ways they may come."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.preprocess import DecodeLimits, decode, open_image, preprocess, ten_crop
from models.store import ModelStore
from service import session
from tests.asgi import Answer, request
from tests.factories import REPOSITORY, encode, make_geometry, make_image, shipped_digit
from tests.service.conftest import StartWorker
from tests.stores import put_version

JSON = {"Content-Type": "application/json"}
LARGE = encode(make_image(300, 200), "JPEG")


def encoded(*files: bytes) -> bytes:
    """The JSON of image files."""
    return json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()


async def classify(worker: Any, query: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """POST to /v1/classify."""
    return await request(worker.guard, "POST", f"/v1/classify{query}", body, headers)


async def test_images_may_come_as_base64(start_worker: StartWorker) -> None:
    """One is answered as a raw body is, several each in its place, a bad one beside good ones."""
    worker = await start_worker()
    (one, class_id), (two, other) = shipped_digit(1), shipped_digit(2)

    raw = await classify(worker, "", one)
    alone = await classify(worker, "", encoded(one), JSON)
    several = await classify(
        worker, "", encoded(one, b"nothing", two), {"Content-Type": "application/json; charset=utf-8"}
    )

    assert alone.json()["predictions"] == raw.json()["predictions"]
    results = several.json()["results"]
    assert results[0]["predictions"][0]["class_id"] == class_id
    assert results[1]["code"] == "unidentified"
    assert results[2]["predictions"][0]["class_id"] == other


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (b"{", 400, "bad_json", "no JSON"),
        (b'{"images": ' + b"[" * 100_000, 400, "bad_json", "no JSON"),
        (b'{"images": [], "images": []}', 400, "bad_json", "no JSON"),
        (b'{"images": [NaN]}', 400, "bad_json", "no JSON"),
        (b'{"images": [' + b"9" * 5000 + b"]}", 400, "bad_json", "no JSON"),
        (b"\xff\xfe", 400, "bad_json", "no JSON"),
        (b"[]", 422, "bad_param", "the body must be"),
        (b'{"images": [], "model": "x"}', 422, "bad_param", "the body must be"),
        (b'{"images": []}', 422, "bad_param", "images: must be a list"),
        (b'{"images": "aGk="}', 422, "bad_param", "images: must be a list"),
        (b'{"images": [1]}', 422, "bad_param", "images[0]: must be base64 without line breaks (RFC 4648), not int"),
        (b'{"images": ["aGk=", "aGk"]}', 422, "bad_param", "images[1]: must be base64"),
        (b'{"images": ["aG k="]}', 422, "bad_param", "images[0]: must be base64"),
        (b'{"images": ["\\ud800"]}', 422, "bad_param", "images[0]: must be base64"),
        (b'{"images": ["http://169.254.169.254/"]}', 422, "bad_param", "not 'http://169.254.169.254/'"),
        (encoded(b"", b"", b"", b""), 413, "too_many_images", "more than 3 images"),
    ],
)
async def test_json_that_is_no_list_of_images_is_refused(
    start_worker: StartWorker, body: bytes, status: int, code: str, says: str
) -> None:
    """By what is wrong with it, and where; nothing is fetched."""
    worker = await start_worker(max_images=3)

    answer = await classify(worker, "", body, JSON)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert says in answer.json()["error"]


async def test_below_the_threshold_an_answer_abstains(start_worker: StartWorker) -> None:
    """The predictions are there all the same; only what was asked for with a threshold is counted as such."""
    worker = await start_worker()
    data, _ = shipped_digit(3)
    best = (await classify(worker, "", data)).json()["predictions"][0]["probability"]

    below = (await classify(worker, "?threshold=1", data)).json()
    above = (await classify(worker, f"?threshold={best - 0.01:.4f}", data)).json()

    assert (below["abstained"], above["abstained"]) == (True, False)
    assert below["predictions"] == above["predictions"]
    several = (await classify(worker, "?threshold=1", encoded(data, b"?"), JSON)).json()["results"]
    assert [one.get("abstained") for one in several] == [True, None]
    counted = (await request(worker.guard, "GET", "/metrics")).body.decode()
    for outcome, images in (("abstained", 2), ("answered", 1)):
        labels = f'model="lenet",outcome="{outcome}",version="1"'
        assert f"classifier_threshold_images_total{{{labels}}} {images}.0" in counted


async def test_ten_crops_are_averaged(start_worker: StartWorker) -> None:
    """The answer is the mean of the session's own to the ten of them; a bad image is refused as ever."""
    worker = await start_worker()
    file = ModelStore(REPOSITORY).read("lenet", 1)
    model = session.load(file, "cpu", 1)
    geometry = model.spec.geometry
    crops = ten_crop(decode(open_image(LARGE, geometry, DecodeLimits()), geometry), geometry)
    want = model.run(crops).probabilities.mean(axis=0)

    answer = (await classify(worker, "?crops=10&top_k=10", LARGE)).json()

    got = {one["class_id"]: one["probability"] for one in answer["predictions"]}
    assert [got[class_id] for class_id in range(10)] == pytest.approx(want.tolist(), abs=1e-5)
    one = (await classify(worker, "?crops=1&top_k=10", LARGE)).json()["predictions"]
    assert one != answer["predictions"]
    several = (await classify(worker, "?crops=10", encoded(LARGE, b"?", LARGE), JSON)).json()["results"]
    assert several[0]["predictions"] == several[2]["predictions"]
    assert several[1]["code"] == "unidentified"
    assert (await classify(worker, "?crops=10", b"?")).json()["code"] == "unidentified"


@pytest.mark.parametrize("query", ["crops=5", "crops=", "crops=01", "threshold=2", "threshold=-0.1", "threshold=nan"])
async def test_what_cannot_be_asked_is_refused(start_worker: StartWorker, query: str) -> None:
    """By its name and range."""
    worker = await start_worker()

    answer = await classify(worker, f"?{query}", LARGE)

    assert (answer.status, answer.json()["code"]) == (422, "bad_param")
    assert answer.json()["error"].startswith(query.partition("=")[0])


async def test_embeddings_are_what_the_classifier_sees(start_worker: StartWorker, tmp_path: Path) -> None:
    """Of one image and of several; a model without features says so."""
    put_version(tmp_path / "store", spec={"features": 5})
    put_version(tmp_path / "store", "plain")
    worker = await start_worker(model_store=tmp_path / "store", default_model="lenet")
    image = encode(make_image())
    pixels = preprocess(image, make_geometry(), DecodeLimits()).astype(np.float32).ravel()[:5].tolist()

    one = (await request(worker.guard, "POST", "/v1/embed", image)).json()
    several = (await request(worker.guard, "POST", "/v1/embed", encoded(image, b"?"), JSON)).json()
    ten = (await request(worker.guard, "POST", "/v1/embed?crops=10", image)).json()
    without = await request(worker.guard, "POST", "/v1/embed?model=plain", image)

    assert one["embedding"] == pixels
    assert one["model"] == {"name": "lenet", "version": 1, "precision": "fp32"}
    assert several["results"][0] == {"embedding": pixels}
    assert several["results"][1]["code"] == "unidentified"
    assert len(ten["embedding"]) == 5
    assert (without.status, without.json()["code"]) == (422, "bad_param")
    assert "plain version 1 has no features" in without.json()["error"]


async def test_labels_are_told_in_the_order_of_their_ids(start_worker: StartWorker) -> None:
    """Of the active version."""
    worker = await start_worker()

    answer = await request(worker.guard, "GET", "/v1/models/lenet/labels")
    missing = await request(worker.guard, "GET", "/v1/models/vgg/labels")

    assert answer.json() == {"name": "lenet", "version": 1, "labels": list("0123456789")}
    assert (missing.status, missing.json()["code"]) == (404, "unknown_model")


async def test_images_that_come_again_are_not_run_again(start_worker: StartWorker) -> None:
    """With the same answer, under any options; counted."""
    worker = await start_worker(cache_entries=10)
    data, class_id = shipped_digit(4)

    first = (await classify(worker, "?top_k=10", data)).json()
    again = (await classify(worker, "?top_k=10", data)).json()
    fewer = (await classify(worker, "?top_k=2", encoded(data, data, LARGE), JSON)).json()["results"]

    assert first["predictions"] == again["predictions"]
    assert fewer[0]["predictions"] == fewer[1]["predictions"] == first["predictions"][:2]
    assert first["predictions"][0]["class_id"] == class_id
    text = (await request(worker.guard, "GET", "/metrics")).body.decode()
    assert 'classifier_images_total{model="lenet",version="1"} 2.0' in text
    assert 'classifier_cache_images_total{result="hit"} 3.0' in text
    assert 'classifier_cache_images_total{result="miss"} 2.0' in text
