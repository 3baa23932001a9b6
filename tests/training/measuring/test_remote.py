"""training/measuring/remote.py, against small HTTP servers that do not answer as ours does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.factories import make_spec
from training.errors import ServiceFailed
from training.measuring import remote

Answer = tuple[int, bytes]
MODEL = {"name": "lenet", "version": 1, "precision": "fp32", "spec": make_spec().model_dump(mode="json")}


@contextmanager
def serving(answer: Callable[[str], Answer]) -> Iterator[str]:
    """The address of a server that answers each path with what *answer* returns."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = respond  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def describing(classify: Callable[[], Answer]) -> Callable[[str], Answer]:
    """A server that describes lenet, and answers images in its own way."""

    def answer(path: str) -> Answer:
        if path == "/v1/models":
            return 200, json.dumps({"models": [MODEL]}).encode()
        if path == "/v1/models/lenet":
            return 200, json.dumps(MODEL).encode()
        return classify()

    return answer


def ask(url: str, *files: bytes) -> list[list[float]]:
    """The probabilities that a service answers to image files."""
    with remote.connect(url) as service:
        return service.probabilities(files).tolist() if files else []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "answered 200 without JSON"),
        (200, b"[]", "JSON that is no object"),
        (200, b'{"models": []}', "serves no model"),
        (401, b'{"error": "a key is required"}', "401 a key is required"),
        (500, b"{}", "500 without a reason"),
    ],
)
def test_what_is_no_service_of_ours_is_said(status: int, body: bytes, message: str) -> None:
    """With its address."""
    with serving(lambda _path: (status, body)) as url, pytest.raises(ServiceFailed, match=message) as caught:
        ask(url)
    assert url in str(caught.value)


def test_a_description_without_a_spec_is_refused() -> None:
    """Nothing is guessed."""
    message = "/v1/models/lenet: not the description of a model of ours"
    body = b'{"models": [{"name": "lenet"}]}'
    with serving(lambda _path: (200, body)) as url, pytest.raises(ServiceFailed, match=message):
        ask(url)


def test_a_busy_service_is_asked_again() -> None:
    """A few times, then its refusal is passed on."""
    answers = iter([(503, b'{"error": "full"}')] * 2)
    good = json.dumps({"predictions": [{"label": "3", "class_id": 3, "probability": 0.75}]}).encode()
    with serving(describing(lambda: next(answers, (200, good)))) as url:
        assert ask(url, b"image") == [[0, 0, 0, 0.75, 0, 0, 0, 0, 0, 0]]

    full = describing(lambda: (503, b'{"error": "full"}'))
    with serving(full) as url, pytest.raises(ServiceFailed, match="503 full"):
        ask(url, b"image")


def test_an_answer_of_another_shape_is_refused() -> None:
    """A class that the model has not."""
    bad = json.dumps({"predictions": [{"label": "x", "class_id": 30, "probability": 0.75}]}).encode()
    with serving(describing(lambda: (200, bad))) as url, pytest.raises(ServiceFailed, match="without predictions"):
        ask(url, b"image")


def test_a_service_without_the_protocol_gives_no_logits() -> None:
    """It is no fault; an answer without them is."""
    with serving(describing(lambda: (404, b"{}"))) as url, remote.connect(url, "lenet") as service:
        assert service.logits([b"image"]) is None
    empty = describing(lambda: (200, b'{"outputs": []}'))
    with serving(empty) as url, remote.connect(url) as service, pytest.raises(ServiceFailed, match="without logits"):
        service.logits([b"image"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "ftp://127.0.0.1", "http://[", ""])
def test_no_service_at_all_is_said_in_one_line(url: str) -> None:
    """Nobody listens there, or it is no address."""
    with pytest.raises(ServiceFailed) as caught:
        ask(url)
    assert "\n" not in str(caught.value)
