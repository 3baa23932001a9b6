"""The Open Inference Protocol as its clients speak it: tritonclient against a real server."""

import base64
import itertools
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from models.preprocess import DecodeLimits, preprocess
from models.store import ModelStore
from service import session
from tests.e2e.server import Server, serving
from tests.factories import REPOSITORY

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(gevent|geventhttpclient|tritonclient).*"),
]

SHIPPED = ModelStore(REPOSITORY).read("lenet", 1)
FILES = SHIPPED.golden.files
CLASSES = SHIPPED.golden.class_ids.tolist()
FACES = ("lenet", "lenet-image")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers."""
    with serving(tmp_path_factory.mktemp("oip"), workers=2) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """The client that has eight connections."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=8) as connected:
        yield connected


@pytest.fixture(scope="module")
def alone(server: Server) -> np.ndarray:
    """What `/v1/classify` gives for each file, asked for one by one: (N, K)."""
    values = np.zeros((len(FILES), 10), np.float32)
    with server.client() as http:
        for i, file in enumerate(FILES):
            for prediction in http.post("/v1/classify?top_k=10", content=file).json()["predictions"]:
                values[i, prediction["class_id"]] = prediction["probability"]
    return values


def prepared(*indices: int) -> np.ndarray:
    """Files as the network takes them."""
    geometry = session.load(SHIPPED, "cpu", 1).spec.geometry
    return np.stack([preprocess(FILES[i], geometry, DecodeLimits()) for i in indices])


def given(module: Any, face: str, indices: list[int], *, binary: bool) -> Any:
    """The input of a face."""
    if face == "lenet":
        images = prepared(*indices)
        tensor = module.InferInput("images", images.shape, "UINT8")
        return tensor.set_data_from_numpy(images, binary_data=binary)
    files = [FILES[i] if binary else base64.b64encode(FILES[i]) for i in indices]
    tensor = module.InferInput("image", [len(files)], "BYTES")
    return tensor.set_data_from_numpy(np.array(files, dtype=np.object_), binary_data=binary)


def wanted(module: Any, how: str, classes: int) -> list[Any] | None:
    """The outputs, JSON or binary, with class_count; None leaves them out."""
    if how == "omitted":
        return None
    names = ("logits", "probabilities")
    return [module.InferRequestedOutput(name, binary_data=how == "binary", class_count=classes) for name in names]


def check(result: Any, indices: list[int], classes: int, want: np.ndarray, atol: float = 0.0) -> None:
    """Compare a result with what `/v1/classify` gives."""
    probabilities = result.as_numpy("probabilities")
    if not classes:
        assert probabilities.dtype == np.float32
        assert np.abs(probabilities - want[indices]).max() <= atol
        assert result.as_numpy("logits").argmax(axis=1).tolist() == [CLASSES[i] for i in indices]
        return
    assert probabilities.shape == (len(indices), classes)
    for row, i in zip(probabilities, indices, strict=True):
        texts = [text.decode() if isinstance(text, bytes) else text for text in row]
        best = np.argsort(-want[i], kind="stable")[:classes]
        assert [int(text.split(":")[1]) for text in texts] == best.tolist()
        for text, class_id in zip(texts, best, strict=True):
            assert float(text.split(":", 2)[0]) == pytest.approx(want[i, class_id], abs=atol + 6e-7)
            assert text.split(":", 2)[2] == str(class_id)


COMBINATIONS = list(itertools.product(FACES, (True, False), ("json", "binary", "omitted"), (0, 3)))


@pytest.mark.parametrize(("face", "binary", "how", "classes"), COMBINATIONS)
def test_every_combination_gives_what_classify_gives(  # noqa: PLR0917 (a row of the table)
    client: Any, alone: np.ndarray, face: str, binary: bool, how: str, classes: int
) -> None:
    """Bit for bit, as the image is alone in its batch."""
    result = client.infer(
        face, [given(triton, face, [5], binary=binary)], outputs=wanted(triton, how, classes), request_id="mine"
    )

    check(result, [5], 0 if how == "omitted" else classes, alone)
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == (face, "1", "mine")


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_both_directions_may_be_compressed(client: Any, alone: np.ndarray, face: str, algorithm: str) -> None:
    """Whole bodies, binary tensors included."""
    indices = list(range(16))
    for how in ("json", "binary"):
        result = client.infer(
            face,
            [given(triton, face, indices, binary=True)],
            outputs=wanted(triton, how, 0),
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        check(result, indices, 0, alone, atol=1e-5)


@pytest.mark.parametrize("face", FACES)
def test_eight_at_once(client: Any, alone: np.ndarray, face: str) -> None:
    """Answers belong to their requests; in shared batches they differ by float noise alone."""
    chosen = [random.Random(i).choices(range(16), k=1 + i % 3) for i in range(64)]

    pending = [client.async_infer(face, [given(triton, face, indices, binary=True)]) for indices in chosen]

    for indices, request in zip(chosen, pending, strict=True):
        check(request.get_result(), indices, 0, alone, atol=1e-5)


async def test_the_asynchronous_client(server: Server, alone: np.ndarray) -> None:
    """Every combination again, and compression, and metadata."""
    async with aio.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        assert await connected.is_server_ready()
        assert (await connected.get_model_metadata("lenet"))["name"] == "lenet"
        for face, binary, how, classes in COMBINATIONS:
            inputs = [given(aio, face, [3], binary=binary)]
            result = await connected.infer(face, inputs, outputs=wanted(aio, how, classes))
            check(result, [3], 0 if how == "omitted" else classes, alone)
        for algorithm in ("gzip", "deflate"):
            result = await connected.infer(
                "lenet",
                [given(aio, "lenet", list(range(16)), binary=True)],
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            check(result, list(range(16)), 0, alone, atol=1e-5)


def test_under_load_answers_stay_the_same(server: Server, alone: np.ndarray) -> None:
    """Both faces and `/v1/classify` at once, from many connections."""

    def ask(number: int) -> tuple[int, list[float]]:
        i, way = number % 16, number % 3
        if way == 0:
            found = http.post("/v1/classify?top_k=10", content=FILES[i]).json()["predictions"]
            return i, [one["probability"] for one in sorted(found, key=lambda one: one["class_id"])]
        raw = FILES[i] if way == 1 else images[i].tobytes()
        url = f"/v2/models/{'lenet-image' if way == 1 else 'lenet'}/infer"
        answer = http.post(url, content=raw, headers={"Inference-Header-Content-Length": "0"})
        return i, np.frombuffer(answer.content[-40:], "<f4").tolist()

    images = prepared(*range(16))
    with server.client() as http, ThreadPoolExecutor(16) as pool:
        for i, values in pool.map(ask, range(480)):
            assert int(np.argmax(values)) == CLASSES[i]
            assert np.abs(np.array(values) - alone[i]).max() <= 1e-5


def test_a_bare_file_is_classified_as_curl_posts_it(server: Server, alone: np.ndarray) -> None:
    """With the form type that curl declares."""
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/x-www-form-urlencoded"}
    with server.client() as http:
        answer = http.post("/v2/models/lenet-image/infer", content=FILES[2], headers=headers)

    result = triton.InferenceServerClient.parse_response_body(
        answer.content, header_length=int(answer.headers["inference-header-content-length"])
    )
    assert np.array_equal(result.as_numpy("probabilities"), alone[[2]])


def test_what_is_served_is_described(client: Any) -> None:
    """As clients that are driven by metadata need it."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "convserve"
    for face in FACES:
        assert client.is_model_ready(face)
        assert client.is_model_ready(face, "1")
        assert not client.is_model_ready(face, "7")
        metadata = client.get_model_metadata(face, "1")
        config = client.get_model_config(face)
        assert (metadata["name"], config["name"]) == (face, face)
        assert metadata["inputs"][0]["name"] == config["input"][0]["name"]
    ready = [(line["name"], line["state"]) for line in client.get_model_repository_index()]
    assert ready == [(face, "READY") for face in FACES]


def test_statistics_are_those_of_all_workers(client: Any) -> None:
    """Whichever of the two is asked."""

    def counts() -> tuple[int, int]:
        (found,) = client.get_inference_statistics("lenet")["model_stats"]
        return found["inference_stats"]["success"]["count"], found["inference_count"]

    requests, images = counts()
    for i in range(20):
        with triton.InferenceServerClient(client._parsed_url.netloc) as another:  # a worker of its own, perhaps
            another.infer("lenet", [given(triton, "lenet", [i % 16, 0], binary=True)])

    assert counts() == (requests + 20, images + 40)
    (all_models,) = client.get_inference_statistics()["model_stats"]
    assert all_models["execution_count"] <= all_models["inference_count"]
    assert all_models["batch_stats"]


def test_models_come_and_go_on_all_workers(server: Server, client: Any) -> None:
    """Both faces at once; what is gone is in the index, with its reason, and comes back as it was."""
    client.unload_model("lenet")
    try:
        for _ in range(16):
            with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as another:
                assert not any(another.is_model_ready(face) for face in FACES)
        while not (index := client.get_model_repository_index()):  # the store is looked at every second
            time.sleep(0.05)
        assert [(line["name"], line["state"]) for line in index] == [(face, "UNAVAILABLE") for face in FACES]
        assert all(line["reason"] for line in index)
    finally:
        client.load_model("lenet")
    for _ in range(16):
        with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as another:
            assert all(another.is_model_ready(face) for face in FACES)

    client.load_model("lenet-image")  # again: nothing to do
    with pytest.raises(InferenceServerException) as unknown:
        client.load_model("nobody")
    with pytest.raises(InferenceServerException) as overridden:
        client.load_model("lenet", config="{}")
    assert (unknown.value.status(), overridden.value.status()) == ("404", "501")


@pytest.mark.parametrize(
    ("face", "shape", "text"),
    [("lenet", (1, 27, 28, 1), "shape"), ("lenet", (0, 28, 28, 1), "shape"), ("nobody", (1, 28, 28, 1), "no model")],
)
def test_errors_are_read_by_the_client(client: Any, face: str, shape: tuple[int, ...], text: str) -> None:
    """With their text and their status."""
    images = np.zeros(shape, np.uint8)
    tensor = triton.InferInput("images", images.shape, "UINT8").set_data_from_numpy(images)

    with pytest.raises(InferenceServerException, match=text) as refused:
        client.infer(face, [tensor])

    assert refused.value.status() == ("404" if face == "nobody" else "400")


def test_a_timeout_is_passed_on(client: Any) -> None:
    """In microseconds: none at all is enough for nothing."""
    with pytest.raises(InferenceServerException, match="time") as refused:
        client.infer("lenet-image", [given(triton, "lenet-image", list(range(16)), binary=True)], timeout=1)

    assert refused.value.status() in {"503", "504"}
