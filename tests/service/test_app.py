"""service/app.py and service/engine.py, with the shipped model behind them."""

import asyncio
import re
from collections.abc import Sequence

import pytest

from tests.asgi import Answer, request
from tests.factories import encode, make_image, shipped_digit
from tests.service.conftest import StartWorker

BOUNDARY = "a-boundary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(*files: bytes) -> bytes:
    """A multipart body of *files*."""
    head = 'Content-Disposition: form-data; name="file"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
    parts = [f"--{BOUNDARY}\r\n{head}".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def top(predictions: Sequence[dict[str, object]]) -> object:
    """The class_id of the best prediction."""
    return predictions[0]["class_id"]


async def test_an_image_is_classified(start_worker: StartWorker) -> None:
    """The shape of the answer, and the right digit."""
    worker = await start_worker()
    data, class_id = shipped_digit(7)

    answer = await request(worker.guard, "POST", "/v1/classify", data)

    assert answer.status == 200
    content = answer.json()
    assert set(content) == {"request_id", "model", "predictions"}
    assert content["request_id"] == answer.headers["x-request-id"]
    assert content["model"] == {"name": "lenet", "version": 1, "precision": "fp32"}
    assert top(content["predictions"]) == class_id
    assert len(content["predictions"]) == 5
    assert all(set(prediction) == {"label", "class_id", "probability"} for prediction in content["predictions"])
    stages = re.fullmatch(
        r"read;dur=(\S+), decode;dur=(\S+), queue;dur=(\S+), inference;dur=(\S+)", answer.headers["server-timing"]
    )
    assert stages is not None
    assert all(float(milliseconds) >= 0 for milliseconds in stages.groups())


@pytest.mark.parametrize(
    "content_type",
    [
        "image/png",
        "image/jpg",
        "IMAGE/WEBP",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "image/png; q=1",
    ],
)
async def test_what_is_declared_does_not_matter(start_worker: StartWorker, content_type: str) -> None:
    """The bytes decide what they are."""
    worker = await start_worker()
    data, class_id = shipped_digit(3)

    answer = await request(worker.guard, "POST", "/v1/classify", data, {"Content-Type": content_type})

    assert top(answer.json()["predictions"]) == class_id


@pytest.mark.parametrize("content_type", ["text/html", "text/json", "application/vnd.bentoml+pickle", "image"])
async def test_other_types_are_refused(start_worker: StartWorker, content_type: str) -> None:
    """With the accepted ones in the text."""
    worker = await start_worker()

    answer = await request(worker.guard, "POST", "/v1/classify", b"x", {"Content-Type": content_type})

    assert (answer.status, answer.json()["code"]) == (415, "media_type")
    assert "image/*" in answer.json()["error"]


async def test_a_bad_image_never_fails_its_neighbours(start_worker: StartWorker) -> None:
    """Results come in order, each with its predictions or its own error."""
    worker = await start_worker()
    digits = [shipped_digit(i) for i in range(8)]
    files = [data for data, _ in digits]
    files[5] = files[5][:60]

    answer = await request(worker.guard, "POST", "/v1/classify", form(*files), MULTIPART)

    results = answer.json()["results"]
    assert answer.status == 200
    assert results[5] == {"error": "PNG image is truncated or damaged", "code": "truncated"}
    assert [top(r["predictions"]) for i, r in enumerate(results) if i != 5] == [
        c for i, (_, c) in enumerate(digits) if i != 5
    ]
    text = (await request(worker.guard, "GET", "/metrics")).body.decode()
    assert 'classifier_rejected_total{reason="truncated"} 1.0' in text
    assert 'classifier_images_total{model="lenet",version="1"} 7.0' in text


async def test_one_file_in_a_form_is_one_image(start_worker: StartWorker) -> None:
    """The answer has the shape of a raw body's, its error too."""
    worker = await start_worker()
    data, class_id = shipped_digit(2)

    good = await request(worker.guard, "POST", "/v1/classify", form(data), MULTIPART)
    bad = await request(worker.guard, "POST", "/v1/classify", form(b"nothing"), MULTIPART)

    assert top(good.json()["predictions"]) == class_id
    assert (bad.status, bad.json()["code"]) == (422, "unidentified")


async def test_large_images_are_decoded_beside_the_loop(start_worker: StartWorker) -> None:
    """Mixed with tiny ones they still come in order."""
    worker = await start_worker()
    (small, first), (_, second) = shipped_digit(4), shipped_digit(6)
    large = encode(make_image(900, 700, "RGB"), "JPEG")

    answer = await request(worker.guard, "POST", "/v1/classify", form(large, small, large, b"?", small), MULTIPART)

    results = answer.json()["results"]
    assert results[0] == results[2]
    assert top(results[1]["predictions"]) == top(results[4]["predictions"]) == first != second
    assert results[3]["code"] == "unidentified"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("top_k=0", "top_k: must be a whole number from 1 to 10"),
        ("top_k=11", "from 1 to 10"),
        ("top_k=-1", "top_k"),
        ("top_k=3.5", "top_k"),
        ("top_k=true", "top_k"),
        ("top_k=", "top_k"),
        ("top_k=1_0", "top_k"),
        ("top_k=" + "9" * 5000, "top_k"),
        ("top_k=1&top_k=2", "top_k: given more than once"),
        ("topk=1", "unknown parameter 'topk'; known are crops, model, precision, threshold, top_k, version"),
        ("top_k", "the query string cannot be parsed"),
        ("top_k=%ff", "the query string cannot be parsed"),
    ],
)
async def test_bad_parameters_are_refused(start_worker: StartWorker, query: str, text: str) -> None:
    """With the name of the parameter and its range."""
    worker = await start_worker()

    answer = await request(worker.guard, "POST", f"/v1/classify?{query}", shipped_digit()[0])

    assert (answer.status, answer.json()["code"]) == (422, "bad_param")
    assert text in answer.json()["error"]


@pytest.mark.parametrize("k", [1, 10])
async def test_top_k_says_how_many(start_worker: StartWorker, k: int) -> None:
    """From one to all classes."""
    worker = await start_worker()

    answer = await request(worker.guard, "POST", f"/v1/classify?top_k={k}&model=lenet", shipped_digit()[0])

    assert len(answer.json()["predictions"]) == k


async def test_a_model_that_is_not_served_is_not_found(start_worker: StartWorker) -> None:
    """By its name in the query."""
    worker = await start_worker()

    answer = await request(worker.guard, "POST", "/v1/classify?model=vgg", shipped_digit()[0])

    assert (answer.status, answer.json()["code"]) == (404, "unknown_model")


async def test_a_multipart_body_is_held_to_its_limits(start_worker: StartWorker) -> None:
    """Too many files, no boundary, no end, no file at all."""
    worker = await start_worker(max_images=3)
    data, _ = shipped_digit()

    async def post(body: bytes, headers: dict[str, str] = MULTIPART) -> Answer:
        return await request(worker.guard, "POST", "/v1/classify", body, headers)

    assert (await post(form(data, data, data))).status == 200
    too_many = await post(form(data, data, data, data))
    assert (too_many.status, too_many.json()["code"]) == (413, "too_many_images")
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n3\r\n--{BOUNDARY}--\r\n'.encode()
    for body, headers in (
        (form(data), {"Content-Type": "multipart/form-data"}),
        (form(data), {"Content-Type": "multipart/form-data; boundary=other"}),
        (form(data)[:-10], MULTIPART),
        (form(), MULTIPART),
        (b"", MULTIPART),
        (field, MULTIPART),
    ):
        answer = await post(body, headers)
        assert (answer.status, answer.json()["code"]) == (400, "bad_multipart"), body


async def test_requests_at_once_get_their_own_answers(start_worker: StartWorker) -> None:
    """Batched together, told apart."""
    worker = await start_worker()
    digits = [shipped_digit(i % 16) for i in range(64)]

    answers = await asyncio.gather(*(request(worker.guard, "POST", "/v1/classify", data) for data, _ in digits))

    assert [top(answer.json()["predictions"]) for answer in answers] == [class_id for _, class_id in digits]


async def test_a_full_queue_refuses_with_a_time_to_come_back(start_worker: StartWorker) -> None:
    """503, `queue_full`, Retry-After; what was admitted is answered."""
    worker = await start_worker(queue_capacity=4, client_share=1)
    data, _ = shipped_digit()

    answers = await asyncio.gather(*(request(worker.guard, "POST", "/v1/classify", data) for _ in range(40)))

    refused = [answer for answer in answers if answer.status != 200]
    assert 0 < len(refused) < 40
    assert {(answer.status, answer.json()["code"]) for answer in refused} == {(503, "queue_full")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert (await request(worker.guard, "POST", "/v1/classify", data)).status == 200


async def test_a_request_that_is_cancelled_frees_its_places(start_worker: StartWorker) -> None:
    """Also while its images are still being decoded."""
    worker = await start_worker(queue_capacity=2, client_share=1)
    large = encode(make_image(900, 700, "RGB"), "JPEG")
    tasks = [asyncio.create_task(request(worker.guard, "POST", "/v1/classify", large)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    answers = await asyncio.gather(*(request(worker.guard, "POST", "/v1/classify", large) for _ in range(2)))

    assert [answer.status for answer in answers] == [200, 200]
    text = (await request(worker.guard, "GET", "/metrics")).body.decode()
    assert 'classifier_queue_depth{model="lenet",version="1"} 0.0' in text


async def test_a_model_of_several_must_be_named(start_worker: StartWorker) -> None:
    """Unless a default is set, which must exist."""
    worker = await start_worker()
    lenet = worker._engine.catalog.lineups["lenet"]
    worker._engine.catalog.serve({"a": lenet, "b": lenet}, None)

    answer = await request(worker.guard, "POST", "/v1/classify", shipped_digit()[0])

    assert (answer.status, answer.json()["code"]) == (422, "bad_param")
    assert answer.json()["error"] == "model: required, as several are served: a, b"
