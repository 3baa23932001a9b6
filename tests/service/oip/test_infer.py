"""service/oip/infer.py: requests through the engine, with the shipped model behind it."""

import asyncio
import base64
import gzip
import json
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest

from models.preprocess import DecodeLimits, preprocess
from models.spec import Geometry
from models.store import ModelStore
from service import session
from service.worker import Worker
from tests.asgi import Answer, request
from tests.factories import REPOSITORY, shipped_digit
from tests.service.conftest import StartWorker
from tests.service.oip.signatures import element

TENSOR, IMAGE = "/v2/models/lenet/infer", "/v2/models/lenet-image/infer"
RAW = {"Inference-Header-Content-Length": "0"}


@cache
def shipped_geometry() -> Geometry:
    """That of the shipped model."""
    return session.load(ModelStore(REPOSITORY).read("lenet", 1), "cpu", 1).spec.geometry


def prepared(*indices: int) -> np.ndarray:
    """Shipped digits as the network takes them, (N, 28, 28, 1)."""
    return np.stack([preprocess(shipped_digit(i)[0], shipped_geometry(), DecodeLimits()) for i in indices])


def asked(images: np.ndarray, **more: Any) -> bytes:
    """A JSON request for prepared images."""
    given = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}
    return json.dumps({"inputs": [given], **more}).encode()


def asked_of_files(*files: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    """A binary request for image files, and its header."""
    tail = b"".join(element(file) for file in files)
    given = {"name": "image", "datatype": "BYTES", "shape": [len(files)], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [given], **more}).encode()
    return head + tail, {"Inference-Header-Content-Length": str(len(head))}


def floats(answer: Answer) -> dict[str, np.ndarray]:
    """The outputs of an answer, JSON and binary ones."""
    length = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    tail, found = answer.body[length:], {}
    for output in json.loads(answer.body[:length])["outputs"]:
        if "data" in output:
            values = np.array(output["data"], np.float32)
        else:
            size = output["parameters"]["binary_data_size"]
            values, tail = np.frombuffer(tail[:size], "<f4"), tail[size:]
        found[output["name"]] = values.reshape(output["shape"])
    assert tail == b""
    return found


async def classified(worker: Worker, index: int) -> np.ndarray:
    """The probabilities that /v1/classify gives, by class_id."""
    answer = await request(worker.guard, "POST", "/v1/classify?top_k=10", shipped_digit(index)[0])
    values = np.zeros(10, np.float32)
    for prediction in answer.json()["predictions"]:
        values[prediction["class_id"]] = prediction["probability"]
    return values


async def test_every_way_in_gives_what_classify_gives(start_worker: StartWorker) -> None:
    """Bit for bit, as each is alone in its batch."""
    worker = await start_worker()
    data = shipped_digit(4)[0]
    as_text = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(data).decode()]}

    answers = [
        await request(worker.guard, "POST", TENSOR, asked(prepared(4))),
        await request(worker.guard, "POST", TENSOR, asked(prepared(4), parameters={"binary_data_output": True})),
        await request(worker.guard, "POST", TENSOR, prepared(4).tobytes(), RAW),
        await request(worker.guard, "POST", IMAGE, *asked_of_files(data)),
        await request(worker.guard, "POST", IMAGE, json.dumps({"inputs": [as_text]}).encode()),
        await request(worker.guard, "POST", IMAGE, data, RAW),
        await request(worker.guard, "POST", "/v2/models/lenet-image/versions/1/infer", data, RAW),
    ]

    want = await classified(worker, 4)
    for answer in answers:
        assert answer.status == 200
        assert np.array_equal(floats(answer)["probabilities"], want[None])
        logits = floats(answer)["logits"].astype(np.float64)
        np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), want[None], rtol=1e-5)


async def test_an_answer_says_who_made_it(start_worker: StartWorker) -> None:
    """The face, its version and precision, and the id if one was given."""
    worker = await start_worker()

    plain = await request(worker.guard, "POST", TENSOR, asked(prepared(1)))
    with_id = await request(worker.guard, "POST", IMAGE, *asked_of_files(shipped_digit(1)[0], id="mine"))

    assert {key: value for key, value in plain.json().items() if key != "outputs"} == {
        "model_name": "lenet",
        "model_version": "1",
        "parameters": {"precision": "fp32"},
    }
    assert plain.headers["content-type"] == "application/json"
    assert (with_id.json()["model_name"], with_id.json()["id"]) == ("lenet-image", "mine")
    assert "server-timing" in plain.headers


async def test_outputs_come_as_asked(start_worker: StartWorker) -> None:
    """Only those, in that order, JSON and binary mixed, classes named."""
    worker = await start_worker()
    outputs = [
        {"name": "probabilities", "parameters": {"classification": 2}},
        {"name": "logits", "parameters": {"binary_data": True}},
    ]

    answer = await request(worker.guard, "POST", TENSOR, asked(prepared(1, 2, 3), outputs=outputs))

    length = int(answer.headers["inference-header-content-length"])
    classes, logits = json.loads(answer.body[:length])["outputs"]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (classes["datatype"], classes["shape"], len(classes["data"])) == ("BYTES", [3, 2], 6)
    for row, index in enumerate((1, 2, 3)):
        value, class_id, label = classes["data"][2 * row].split(":")
        assert (int(class_id), label) == (shipped_digit(index)[1], str(shipped_digit(index)[1]))
        assert float(value) == pytest.approx((await classified(worker, index)).max(), abs=1e-6)
    assert (logits["shape"], logits["parameters"]) == ([3, 10], {"binary_data_size": 120})
    assert len(answer.body) - length == 120


async def test_many_images_come_in_order(start_worker: StartWorker) -> None:
    """Whichever batches they ran in."""
    worker = await start_worker(max_batch_size=4)
    indices = [i % 16 for i in range(30)]

    answer = await request(worker.guard, "POST", TENSOR, asked(prepared(*indices)))

    assert floats(answer)["logits"].argmax(axis=1).tolist() == [shipped_digit(i)[1] for i in indices]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_both_ways_may_be_compressed(start_worker: StartWorker, encoding: str, compress: Any) -> None:
    """Header lengths are those of what is inside."""
    worker = await start_worker()
    files = [shipped_digit(i)[0] for i in range(16)]
    body, headers = asked_of_files(*files)
    headers |= {"Content-Encoding": encoding, "Accept-Encoding": encoding}

    answer = await request(worker.guard, "POST", IMAGE, compress(body), headers)

    assert answer.headers["content-encoding"] == encoding
    answer.body = gzip.decompress(answer.body) if encoding == "gzip" else zlib.decompress(answer.body)
    assert floats(answer)["logits"].argmax(axis=1).tolist() == [shipped_digit(i)[1] for i in range(16)]


async def test_a_bomb_is_refused(start_worker: StartWorker) -> None:
    """At the limit of bodies, whatever it inflates to."""
    worker = await start_worker(max_body_bytes=100_000)
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000

    answer = await request(worker.guard, "POST", IMAGE, bomb, {**RAW, "Content-Encoding": "gzip"})

    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


async def test_elsewhere_compressed_bodies_are_refused(start_worker: StartWorker) -> None:
    """And here those of other encodings."""
    worker = await start_worker()
    data = shipped_digit()[0]

    for path, encoding in (("/v1/classify", "gzip"), ("/v2/repository/index", "gzip"), (IMAGE, "br")):
        answer = await request(worker.guard, "POST", path, data, {"Content-Encoding": encoding})
        assert (answer.status, answer.json()["code"]) == (415, "media_type")


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (TENSOR, b"{}", {}, 400, "bad_request"),
        (TENSOR, b"x" * 785, RAW, 400, "bad_request"),
        (TENSOR, bytes(784 * 33), RAW, 413, "too_many_images"),
        (TENSOR, b"{}", {"Inference-Header-Content-Length": "3"}, 400, "bad_request"),
        (IMAGE, b"", RAW, 422, "unidentified"),
        (IMAGE, b"GIF89a", RAW, 415, "media_type"),
        (IMAGE, shipped_digit()[0][:60], RAW, 422, "truncated"),
        ("/v2/models/vgg16/infer", b"{}", {}, 404, "unknown_model"),
        ("/v2/models/lenet/versions/2/infer", b"{}", {}, 404, "unknown_model"),
    ],
)
async def test_bad_requests_are_refused(  # noqa: PLR0917 (a row of the table)
    start_worker: StartWorker, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """With the status of their kind and the one shape of errors."""
    answer = await request((await start_worker()).guard, "POST", path, body, headers)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_one_bad_image_of_many_is_named(start_worker: StartWorker) -> None:
    """As the protocol has no place for an error beside answers."""
    worker = await start_worker()
    body, headers = asked_of_files(shipped_digit(1)[0], shipped_digit(2)[0][:60], shipped_digit(3)[0])

    answer = await request(worker.guard, "POST", IMAGE, body, headers)

    assert (answer.status, answer.json()["code"]) == (422, "truncated")
    assert answer.json()["error"] == "image 1: PNG image is truncated or damaged"


async def test_a_full_queue_refuses(start_worker: StartWorker) -> None:
    """All images of a request, with the time to come back."""
    worker = await start_worker(queue_capacity=2)

    answer = await request(worker.guard, "POST", TENSOR, asked(prepared(1, 2, 3)))

    assert (answer.status, answer.json()["code"]) == (503, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_timeout_of_the_clients_own_is_kept(start_worker: StartWorker) -> None:
    """In microseconds; it only makes the time shorter, and 0 is none."""
    worker = await start_worker(request_timeout_s=30, max_wait_ms=10_000, max_batch_size=4)

    late = await request(worker.guard, "POST", TENSOR, asked(prepared(1), parameters={"timeout": 1000}))
    in_time = await request(
        worker.guard, "POST", TENSOR, asked(prepared(1, 1, 1, 1), parameters={"timeout": 0, "priority": 7})
    )

    assert (late.status, late.json()["code"]) == (504, "deadline")
    assert in_time.status == 200


async def test_statistics_count_what_was_done(start_worker: StartWorker) -> None:
    """Requests of both faces, refusals, images and batches; those of /v1/classify as runs alone."""
    worker = await start_worker(max_batch_size=4)
    await request(worker.guard, "POST", TENSOR, asked(prepared(1, 2, 3, 4, 5)))
    await request(worker.guard, "POST", IMAGE, shipped_digit(1)[0], RAW)
    await request(worker.guard, "POST", IMAGE, b"", RAW)
    await request(worker.guard, "POST", TENSOR, b"{}")
    await classified(worker, 1)

    answers = [
        (await request(worker.guard, "GET", f"/v2/models/{path}stats")).json()["model_stats"]
        for path in ("", "lenet/", "lenet/versions/1/")
    ]
    image = (await request(worker.guard, "GET", "/v2/models/lenet-image/stats")).json()["model_stats"][0]

    assert answers[0] == answers[1] == answers[2]
    (found,) = answers[0]
    assert image == {**found, "name": "lenet-image"}
    assert (found["name"], found["version"]) == ("lenet", "1")
    assert (found["inference_count"], found["execution_count"]) == (7, 4)
    runs = [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in found["batch_stats"]]
    assert runs == [(1, 2), (2, 1), (3, 1)]  # of five at once, the first half of a batch is run while the rest gathers
    parts = found["inference_stats"]
    assert {part: parts[part]["count"] for part in parts} == {
        **dict.fromkeys(("success", "queue", "compute_input", "compute_infer", "compute_output"), 2),
        "fail": 2,
        **dict.fromkeys(("cache_hit", "cache_miss"), 0),
    }
    assert parts["success"]["ns"] >= parts["compute_infer"]["ns"] > 0
    assert found["last_inference"] > 1.7e12


async def test_requests_at_once_share_batches(start_worker: StartWorker) -> None:
    """With each other and with /v1/classify; answers stay within float noise."""
    worker = await start_worker()
    alone = {i: await classified(worker, i) for i in range(16)}

    async def one(i: int) -> tuple[int, np.ndarray]:
        return i, floats(await request(worker.guard, "POST", IMAGE, shipped_digit(i)[0], RAW))["probabilities"][0]

    found = await asyncio.gather(*(one(i % 16) for i in range(64)))

    for i, values in found:
        assert values.argmax() == alone[i].argmax()
        assert np.abs(values - alone[i]).max() <= 1e-5
