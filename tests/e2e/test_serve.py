"""The whole line on a real server: what a client sees, what Prometheus sees, and how it ends."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.server import ROOT, Server, serving, start
from tests.factories import shipped_digit

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with default settings."""
    with serving(tmp_path_factory.mktemp("server")) as started:
        yield started


def total(text: str, sample: str) -> float:
    """The sum of all samples of the exposition whose name and labels begin with *sample*."""
    return sum(float(value) for value in re.findall(rf"^{re.escape(sample)}\S* (\S+)$", text, re.MULTILINE))


def test_the_sample_image_of_the_readme_is_classified(server: Server) -> None:
    """Posted as curl's --data-binary does."""
    with server.client() as client:
        answer = client.post(
            "/v1/classify",
            content=(ROOT / "docs" / "samples" / "7.png").read_bytes(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "7"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_the_answer_in_the_readme_is_the_real_one(server: Server) -> None:
    """As curl shows it, but for the request id."""
    readme = (ROOT / "README.md").read_text()
    shown = json.loads(readme[readme.index('{"request_id"') : readme.index("\n```\n", readme.index('{"request_id"'))])

    with server.client() as client:
        answer = client.post("/v1/classify?top_k=2", content=(ROOT / "docs" / "samples" / "7.png").read_bytes()).json()

    assert shown["model"] == answer["model"]
    for ours, theirs in zip(shown["predictions"], answer["predictions"], strict=True):
        assert ours == {**theirs, "probability": pytest.approx(theirs["probability"], rel=1e-3)}


def test_eight_files_with_one_broken_give_seven_answers(server: Server) -> None:
    """And one error, in its place."""
    digits = [shipped_digit(i) for i in range(8)]
    files = [("files", (f"{i}.png", data if i != 3 else data[:50], "image/png")) for i, (data, _) in enumerate(digits)]

    with server.client() as client:
        results = client.post("/v1/classify", files=files).json()["results"]

    assert [result.get("code") for result in results] == [None, None, None, "truncated", None, None, None, None]
    for i, (_, class_id) in enumerate(digits):
        if i != 3:
            assert results[i]["predictions"][0]["class_id"] == class_id


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/docs.json", 404, "not_found"),  # BentoML's own routes are not there
        ("GET", "/healthz", 404, "not_found"),
        ("GET", "/v1/classify", 405, "method"),
        ("DELETE", "/readyz", 405, "method"),
        ("POST", "/v1/classify", 422, "unidentified"),
    ],
)
def test_errors_have_one_shape_everywhere(server: Server, method: str, path: str, status: int, code: str) -> None:
    """Also where BentoML would have answered."""
    with server.client() as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.json() == {
        "error": answer.json()["error"],
        "code": code,
        "request_id": answer.headers["x-request-id"],
    }
    assert "server" not in answer.headers


def test_a_body_that_is_too_large_is_refused_readably(server: Server) -> None:
    """Declared or chunked, the client reads 413 and no reset."""

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield bytes(2**20)

    with server.client() as client:
        declared = client.post("/v1/classify", content=bytes(10 * 2**20 + 1))
        chunked = client.post("/v1/classify", content=chunks())
        assert client.post("/v1/classify", content=bytes(10 * 2**20)).status_code == 422  # allowed, and no image

    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"


def test_two_workers_count_as_one(tmp_path: Path) -> None:
    """Counters equal the requests sent, whoever answered and whoever is scraped, also after a worker was killed."""
    requests, senders = 400, 8
    data, class_id = shipped_digit(1)
    with serving(tmp_path, workers=2) as server:
        answers: list[httpx2.Response] = []

        def send() -> None:
            for _ in range(requests // senders):  # each on a connection of its own, so that both workers get some
                with server.client() as client:
                    answers.append(client.post("/v1/classify", content=data))

        threads = [threading.Thread(target=send) for _ in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["predictions"][0]["class_id"] for answer in answers} == {class_id}
        for _ in range(8):  # either worker may be scraped
            assert counts(server) == {"requests": requests, "images": requests, "responses": requests}

        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        assert counts(server) == {"requests": requests, "images": requests, "responses": requests}

        deadline = time.monotonic() + 30  # BentoML looks for dead workers every ten seconds
        while killed in server.workers() or len(server.workers()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert counts(server) == {"requests": requests, "images": requests, "responses": requests}


def counts(server: Server) -> dict[str, float]:
    """What the metrics say of the classify route and of lenet."""
    with server.client() as client:
        text = client.get("/metrics").text
    return {
        "requests": total(text, 'classifier_http_requests_total{code="200",method="POST",route="/v1/classify"}'),
        "images": total(text, 'classifier_images_total{model="lenet",version="1"}'),
        "responses": total(text, 'classifier_stage_duration_seconds_count{stage="respond"}'),
    }


def test_a_worker_that_joins_takes_no_request_before_it_can_answer(tmp_path: Path) -> None:
    """From the first moment that the server is ready, whichever worker accepts."""
    data, _ = shipped_digit(1)
    server = start(tmp_path, workers=3, drain_delay_s=0)
    try:
        server.wait_ready()
        statuses = set()
        for _ in range(150):
            with server.client() as client:
                statuses.add(client.post("/v1/classify", content=data).status_code)
    finally:
        server.stop()

    assert statuses == {200}


def test_sigterm_loses_no_request(tmp_path: Path) -> None:
    """Not ready at once, serving on through the delay, on old and new connections alike, exit status 0."""
    data, class_id = shipped_digit(2)
    with serving(tmp_path, drain_delay_s=2) as server:
        answers: list[httpx2.Response] = []
        away = threading.Event()  # set when a load balancer would have noticed that the server is not ready

        def send() -> None:
            with server.client() as client:
                while not away.is_set():
                    answers.append(client.post("/v1/classify", content=data))

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(answers) < 200:
            time.sleep(0.01)

        server.process.send_signal(signal.SIGTERM)
        with server.client() as client:
            while (ready := client.get("/readyz")).status_code == 200:
                time.sleep(0.005)
            assert client.get("/livez").status_code == 200
        before = len(answers)
        time.sleep(1)
        away.set()
        for thread in threads:
            thread.join()
        status = server.process.wait(20)

    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert "draining" in ready.json()["error"]
    assert len(answers) > before
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["predictions"][0]["class_id"] for answer in answers} == {class_id}
    assert "connection" not in answers[0].headers
    assert answers[-1].headers["connection"] == "close"
    assert status == 0


def test_a_second_sigterm_ends_a_worker_at_once(tmp_path: Path) -> None:
    """Whoever insists is obeyed."""
    with serving(tmp_path, drain_delay_s=30) as server:
        (worker,) = server.workers()
        server.process.send_signal(signal.SIGTERM)
        with server.client() as client:
            while client.get("/readyz").status_code == 200:
                time.sleep(0.01)

        os.kill(worker, signal.SIGTERM)

        assert server.process.wait(10) == 0


def test_before_it_is_loaded_a_worker_is_alive_and_not_ready(tmp_path: Path) -> None:
    """The port is open while the model loads."""
    server = start(tmp_path, drain_delay_s=0)
    seen = set()
    try:
        deadline = time.monotonic() + 20
        with server.client() as client:
            while time.monotonic() < deadline:
                try:
                    seen.add((client.get("/livez").status_code, client.get("/readyz").status_code))
                except httpx2.TransportError:
                    continue
                if (200, 200) in seen:
                    break
    finally:
        server.stop()

    assert (200, 200) in seen
    assert {live for live, _ in seen} == {200}
