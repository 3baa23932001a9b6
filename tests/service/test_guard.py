"""service/guard.py and service/body.py."""

import re
from time import perf_counter
from typing import Any

import pytest

from models.errors import TruncatedImage
from service.admission import Priority
from service.errors import Overloaded
from service.guard import Guard
from service.http import Request, Response, Route
from service.metrics import Metrics
from service.settings import Settings
from tests.asgi import HANGS_UP, chunk, request


async def echo(received: Request) -> Response:
    return Response(received.body)


async def fail(received: Request) -> Response:
    if received.params["how"] == "bug":
        raise ZeroDivisionError("the secret is 42")
    if received.params["how"] == "overload":
        raise Overloaded("the queue is full", retry_after_s=7)
    raise TruncatedImage("PNG image is truncated or damaged")


ROUTES = (
    Route("/echo", {"POST": echo}, takes_body=True),
    Route("/hello", {"GET": echo}),
    Route("/fail/{how}", {"GET": fail}),
)


def make_guard(*, draining: bool = False, **changes: Any) -> tuple[Guard, Metrics]:
    """A guard before three routes, with a body limit of 100 bytes, and its metrics."""
    metrics = Metrics(ROUTES)
    settings = Settings(**{"max_body_bytes": 100, **changes})
    return Guard(ROUTES, metrics, settings, lambda: draining), metrics


def count(metrics: Metrics, sample: str) -> float:
    """The value of one sample of the exposition, 0 where it is absent."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0


async def test_an_answer_has_the_headers_that_every_answer_has() -> None:
    """An id, its length, and nothing that a browser may guess or keep."""
    guard, _ = make_guard()

    answer = await request(guard, "POST", "/echo", b"body")

    assert answer.status == 200
    assert answer.body == b"body"
    assert answer.headers["content-length"] == "4"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert "connection" not in answer.headers


async def test_a_request_id_is_echoed_or_made() -> None:
    """A valid one is the client's; one that could forge a log line or a header is not taken."""
    guard, _ = make_guard()

    for given in ("abc-1.2_3", "x" * 128):
        assert (await request(guard, "GET", "/hello", headers={"X-Request-ID": given})).headers["x-request-id"] == given
    made = set()
    for given in ("", "x" * 129, "a b", 'a"b', "a\x1b[31m", "ä"):
        answer = await request(guard, "GET", "/hello", headers={"X-Request-ID": given})
        made.add(answer.headers["x-request-id"])
    assert len(made) == 6
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


async def test_ids_do_not_repeat() -> None:
    """Also past the end of one pool of randomness."""
    guard, _ = make_guard()

    ids = {(await request(guard, "GET", "/hello")).headers["x-request-id"] for _ in range(600)}

    assert len(ids) == 600


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/echo/", 404, "not_found"),
        ("GET", "/echo", 405, "method"),
        ("PATCH", "/hello", 405, "method"),
        ("GET", "/fail/image", 422, "truncated"),
        ("GET", "/fail/overload", 503, "queue_full"),
        ("GET", "/fail/bug", 500, "internal"),
    ],
)
async def test_every_error_has_one_shape(method: str, path: str, status: int, code: str) -> None:
    """Text, code and request id as JSON, on every route and beside them."""
    guard, metrics = make_guard()

    answer = await request(guard, method, path)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert set(content) == {"error", "code", "request_id"}
    assert content["code"] == code
    assert content["request_id"] == answer.headers["x-request-id"]
    if code != "internal":
        assert count(metrics, f'classifier_rejected_total{{reason="{code}"}}') == 1


async def test_a_bug_tells_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The log has what the answer has not."""
    guard, metrics = make_guard()

    answer = await request(guard, "GET", "/fail/bug")

    assert answer.json()["error"] == "internal error"
    assert "the secret is 42" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
    assert count(metrics, 'classifier_internal_errors_total{stage="request"}') == 1


async def test_headers_of_an_error_are_sent() -> None:
    """Allow with 405, Retry-After with 503."""
    guard, _ = make_guard()

    assert (await request(guard, "POST", "/hello")).headers["allow"] == "GET, HEAD"
    assert (await request(guard, "GET", "/echo")).headers["allow"] == "POST"
    assert (await request(guard, "GET", "/fail/overload")).headers["retry-after"] == "7"


async def test_head_is_answered_as_get() -> None:
    """The server leaves the body out."""
    guard, _ = make_guard()

    assert (await request(guard, "HEAD", "/hello")).status == 200


@pytest.mark.parametrize("size", [99, 100])
async def test_a_body_up_to_the_limit_is_read(size: int) -> None:
    """In one piece or in many."""
    guard, _ = make_guard()
    body = bytes(size)

    assert (await request(guard, "POST", "/echo", body)).body == body
    pieces = [chunk(bytes([byte]), more=True) for byte in body] + [chunk(b"")]
    assert (await request(guard, "POST", "/echo", pieces)).body == body


async def test_a_body_that_declares_too_much_is_not_read() -> None:
    """The refusal comes first, and the connection is not for another request."""
    guard, metrics = make_guard()

    answer = await request(
        guard, "POST", "/echo", [chunk(bytes(60), more=True), chunk(bytes(41))], {"Content-Length": "101"}
    )

    assert answer.status == 413
    assert answer.json()["error"] == "the body exceeds the limit of 100 bytes"
    assert answer.headers["connection"] == "close"
    assert answer.received == 0
    assert count(metrics, 'classifier_rejected_total{reason="body_too_large"}') == 1


async def test_a_body_that_grows_too_large_is_not_kept() -> None:
    """Without a declared length, the count decides."""
    guard, _ = make_guard()

    answer = await request(guard, "POST", "/echo", [chunk(bytes(60), more=True)] * 2 + [HANGS_UP])

    assert answer.status == 413


async def test_permission_to_send_too_much_is_not_given() -> None:
    """A client that waits for 100 Continue gets 413 and is not read from."""
    guard, _ = make_guard()
    headers = {"Content-Length": "101", "Expect": "100-continue"}

    answer = await request(guard, "POST", "/echo", [chunk(bytes(101))], headers)

    assert answer.status == 413
    assert answer.received == 0


async def test_a_body_that_stops_coming_is_refused_in_time() -> None:
    """However it started."""
    guard, metrics = make_guard(body_timeout_s=0.05)

    for messages in ([], [chunk(b"x", more=True)]):
        answer = await request(guard, "POST", "/echo", messages)
        assert answer.status == 408
        assert answer.json()["code"] == "slow_client"
        assert answer.headers["connection"] == "close"
    assert count(metrics, 'classifier_rejected_total{reason="slow_client"}') == 2


async def test_a_client_that_hangs_up_gets_no_answer() -> None:
    """It is counted as cancelled, not as an error."""
    guard, metrics = make_guard()

    answer = await request(guard, "POST", "/echo", [chunk(b"x", more=True), HANGS_UP])

    assert answer.status == 0
    assert count(metrics, 'classifier_cancelled_total{stage="read"}') == 1
    assert count(metrics, "classifier_requests_in_flight") == 0


async def test_compressed_bodies_are_refused() -> None:
    """Nothing is inflated."""
    guard, _ = make_guard()

    answer = await request(guard, "POST", "/echo", b"x", {"Content-Encoding": "gzip"})

    assert (answer.status, answer.json()["code"]) == (415, "media_type")


async def test_a_draining_worker_closes_its_connections() -> None:
    """So that clients go elsewhere with their next request."""
    guard, _ = make_guard(draining=True)

    assert (await request(guard, "GET", "/hello")).headers["connection"] == "close"


async def test_what_a_client_invents_makes_no_series() -> None:
    """Paths, methods and parameters of any kind leave the number of series as it was."""
    guard, metrics = make_guard()
    for _ in range(2):  # the second round, of other words, must add nothing
        await request(guard, "GET", "/nowhere")
        await request(guard, "BREW", "/hello")
        await request(guard, "GET", "/fail/x")
    before = metrics.render().count(b"\n")

    for i in range(100):
        await request(guard, "GET", f"/nowhere/{i}")
        await request(guard, f"BREW{i}", "/hello")
        await request(guard, "GET", f"/fail/{i}?a{i}=b")

    assert metrics.render().count(b"\n") == before
    assert count(metrics, 'classifier_http_requests_total{code="404",method="_OTHER",route="_other"}') == 102


async def test_websockets_are_closed() -> None:
    """There are none here."""
    guard, _ = make_guard()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await guard({"type": "websocket"}, None, send)  # type: ignore[arg-type]

    assert sent == [{"type": "websocket.close", "code": 1003}]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-Request-Timeout-Ms": "0"}, 422, "bad_param"),
        ({"X-Request-Timeout-Ms": "soon"}, 422, "bad_param"),
        ({"X-Request-Timeout-Ms": "1.5"}, 422, "bad_param"),
        ({"X-Priority": "urgent"}, 422, "bad_param"),
        ({"X-Priority": "high"}, 403, "forbidden"),
    ],
)
async def test_what_a_client_may_not_ask_for_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    """By name, before the body is read."""
    guard, metrics = make_guard()

    answer = await request(guard, "POST", "/echo", [], headers)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.received == 0
    assert count(metrics, f'classifier_rejected_total{{reason="{code}"}}') == 1


async def test_a_client_says_how_long_and_how_much_it_wants_an_answer() -> None:
    """Less time than the limit, never more; and a lower priority."""
    seen: list[Request] = []

    async def remember(received: Request) -> Response:
        seen.append(received)
        return Response(b"")

    routes = (Route("/", {"GET": remember}),)
    guard = Guard(routes, Metrics(routes), Settings(request_timeout_s=10), lambda: False)
    began = perf_counter()

    for headers in ({"X-Request-Timeout-Ms": "500"}, {"X-Request-Timeout-Ms": "60000"}, {"X-Priority": "low"}):
        await request(guard, "GET", "/", headers=headers)

    times = [received.claim.deadline - began for received in seen]
    assert all(least <= time < least + 9 for least, time in zip((0.5, 10, 10), times, strict=True))
    assert seen[2].claim.priority is Priority.LOW
    assert {received.claim.client for received in seen} == {"127.0.0.1"}
