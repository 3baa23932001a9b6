"""F39 and F41 to F45: models that fail or hang, queues that are full, deadlines, clients that leave, greedy clients."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.faults.probe import FOR_EVER, NAME, NAN, probe_image
from tests.faults.site import Site, settled, site
from tests.faults.wire import connected, head, one_reply, post

pytestmark = pytest.mark.e2e
PROBE = f"?model={NAME}"
TARGET = f"/v1/classify{PROBE}"
DEPTH = f'classifier_queue_depth{{model="{NAME}",version="1"}}'
RUN = f'classifier_images_total{{model="{NAME}",version="1"}}'
CAPACITY = 64  # of the suite's server


@contextlib.contextmanager
def busy(shared: Site, turns: int = 120) -> Iterator[None]:
    """The device runs one image for about half a second or more; it is done when the block ends."""
    with connected(shared.server.port, "127.0.0.99") as plug:
        plug.sendall(post(probe_image(turns=turns), target=TARGET))
        settled(lambda: at_once(shared), (2.0, 0.0))
        yield
        assert one_reply(plug).status == 200


def quicken(shared: Site) -> None:
    """Let the estimate of what an image takes forget the slow ones of other cases."""
    for _ in range(40):
        assert shared.classify(probe_image(), PROBE).status_code == 200


def in_flight(shared: Site) -> float:
    """Requests that are being answered, the scrape among them."""
    return shared.metrics()["classifier_requests_in_flight"]


def at_once(shared: Site) -> tuple[float, float]:
    """Requests that are being answered and images that wait, as one scrape has them: what runs may end meanwhile."""
    now = shared.metrics()
    return now["classifier_requests_in_flight"], now[DEPTH]


def test_f39_numbers_that_are_none(shared: Site) -> None:
    """500 for that image alone, valid JSON, and the neighbours in its batch are answered."""
    with shared.fault(internal={"inference": 1}):
        with busy(shared), contextlib.ExitStack() as stack:  # so that the three share a batch
            plugs = [stack.enter_context(connected(shared.server.port)) for _ in range(3)]
            for plug, image in zip(
                plugs, (probe_image(class_id=3), probe_image(nan=NAN), probe_image(class_id=5)), strict=True
            ):
                plug.sendall(post(image, target=TARGET))
            answers = [one_reply(plug) for plug in plugs]
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert answers[1].code == "internal"
        assert [json.loads(answers[i].body)["predictions"][0]["class_id"] for i in (0, 2)] == [3, 5]


def test_f39_several_in_a_row_are_not_ready(shared: Site) -> None:
    """Until the model answers an image that it is known to answer."""
    with shared.fault(internal={"inference": 5}, rejected={"not_ready": 1}):
        for _ in range(5):
            answer = shared.classify(probe_image(nan=NAN), PROBE)
            assert (answer.status_code, answer.json()["error"]) == (500, "inference failed")
        answer = shared.client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "model probe version 1 fails" in answer.json()["error"]
        settled(lambda: "probe version 1 answers again" in shared.server.log.read_text(), True)
        assert shared.client.get("/readyz").status_code == 200


def test_f41_exactly_what_does_not_fit_is_refused(shared: Site) -> None:
    """One runs, the queue fills, k more come at once: k refusals with a time to come back."""
    k = 7
    with shared.fault(rejected={"queue_full": k}), busy(shared, turns=250), contextlib.ExitStack() as stack:
        plugs = []
        for n in range(CAPACITY + k):
            plugs.append(stack.enter_context(connected(shared.server.port, f"127.0.1.{n % 8}")))
            plugs[-1].sendall(post(probe_image(class_id=n % 10), target=TARGET))
        settled(lambda: in_flight(shared), 2.0 + CAPACITY)
        assert shared.metrics()[DEPTH] == CAPACITY
        replies = [one_reply(plug) for plug in plugs]
        refused = [reply for reply in replies if reply.status != 200]
        assert [(reply.status, reply.code) for reply in refused] == [(503, "queue_full")] * k
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        for n, reply in enumerate(replies):
            if reply.status == 200:
                assert json.loads(reply.body)["predictions"][0]["class_id"] == n % 10


def test_f42_a_deadline_that_passes_in_the_queue(shared: Site) -> None:
    """504 when it does, to 20 ms in the best of several tries, and the image is never run."""
    tries, took_s = 5, []
    with shared.fault(rejected={"deadline": tries}):
        for _ in range(tries):
            quicken(shared)
            run = shared.metrics()[RUN]
            with busy(shared, turns=250), connected(shared.server.port) as plug:
                began = time.monotonic()
                plug.sendall(post(probe_image(), "X-Request-Timeout-Ms: 300", target=TARGET))
                reply = one_reply(plug)
                took_s.append(time.monotonic() - began)
            assert (reply.status, reply.code) == (504, "deadline")
            assert shared.metrics()[RUN] == run + 1  # the one that kept the device busy
    assert 0.28 <= min(took_s) <= 0.32


def test_f42_a_deadline_that_cannot_be_met(shared: Site) -> None:
    """503 at once, when others wait and are known to take longer."""
    quicken(shared)
    for _ in range(3):  # what an image takes is measured
        assert shared.classify(probe_image(turns=50), PROBE).status_code == 200
    with shared.fault(rejected={"queue_full": 1}), busy(shared, turns=250):
        answer = shared.classify(probe_image(), PROBE, headers={"X-Request-Timeout-Ms": "20"})
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")


def leave(plug: socket.socket) -> None:
    """Hang up."""
    plug.shutdown(socket.SHUT_RDWR)
    plug.close()


@pytest.mark.parametrize("behind", [0, 200_000], ids=["small", "large"])
def test_f43_clients_that_leave(shared: Site, behind: int) -> None:
    """While sending, queued, or running: the place is free at once, what was queued never runs, nothing is a 5xx.

    Large are bodies with so many bytes *behind* the image, more than is read ahead.
    """
    more = bytes(behind)
    run, failed = shared.metrics()[RUN], server_errors(shared)
    with shared.fault(cancelled={"read": 1, "queue": 3, "inference": 1}):
        with connected(shared.server.port) as plug:
            plug.sendall(head("Content-Length: 1000") + b"x")
            settled(lambda: in_flight(shared), 2.0)
            leave(plug)
        settled(lambda: in_flight(shared), 1.0)
        with connected(shared.server.port) as running:
            running.sendall(post(probe_image(turns=250) + more, target=TARGET))
            settled(lambda: at_once(shared), (2.0, 0.0))
            with contextlib.ExitStack() as stack:
                queued = [stack.enter_context(connected(shared.server.port)) for _ in range(3)]
                for plug in queued:
                    plug.sendall(post(probe_image() + more, target=TARGET))
                settled(lambda: shared.metrics()[DEPTH], 3.0)
                for plug in queued:
                    leave(plug)
                # the places are free while what they waited for still runs: nobody waited for its end
                settled(lambda: at_once(shared), (2.0, 0.0))
                assert shared.metrics()[RUN] == run
            leave(running)
        settled(lambda: in_flight(shared), 1.0)
    assert shared.metrics()[RUN] == run + 1  # what ran was finished, for nobody
    assert server_errors(shared) == failed


def server_errors(shared: Site) -> float:
    """Answers with a status of 500 or more, so far."""
    return sum(value for name, value in shared.metrics().items() if re.search(r'requests_total\{code="5', name))


def test_f44_a_greedy_client_beside_a_polite_one(shared: Site) -> None:
    """The greedy one gets its share and 429; the polite one is served, image for image."""
    greedy_images, polite_images = 100, 5
    with contextlib.ExitStack() as stack:
        refusals = greedy_images - CAPACITY // 2
        stack.enter_context(shared.fault(rejected={"client_limit": refusals}))
        stack.enter_context(busy(shared, turns=250))
        greedy, polite = [], []
        for _ in range(greedy_images):
            greedy.append(stack.enter_context(connected(shared.server.port, "127.0.0.2")))
            greedy[-1].sendall(post(probe_image(), target=TARGET))
        settled(lambda: shared.metrics()[DEPTH], float(CAPACITY // 2))
        for n in range(polite_images):
            polite.append(stack.enter_context(connected(shared.server.port, "127.0.0.3")))
            polite[-1].sendall(post(probe_image(class_id=n), target=TARGET))
        answers = [one_reply(plug) for plug in polite]
        assert [answer.status for answer in answers] == [200] * polite_images
        codes = [reply.status for reply in map(one_reply, greedy)]
        assert (codes.count(200), codes.count(429)) == (greedy_images - refusals, refusals)


def test_f45_a_device_that_hangs(tmp_path: Path) -> None:
    """504, then /livez and /readyz fail, then the worker ends itself and another takes its place."""
    with site(tmp_path, device_timeout_s=1.5) as stuck:
        first = stuck.worker
        timeout = {"X-Request-Timeout-Ms": "500"}
        for _ in range(2):  # the second waits behind the first
            answer = stuck.classify(probe_image(turns=FOR_EVER), PROBE, headers=timeout)
            assert (answer.status_code, answer.json()["code"]) == (504, "deadline")
        settled(lambda: stuck.client.get("/livez").status_code, 503)
        answer = stuck.client.get("/readyz")
        assert (answer.status_code, answer.json()["error"]) == (503, "not ready: stuck")

        deadline = time.monotonic() + 40
        while stuck.server.workers() in ([first], []):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with stuck.server.client() as client:
            while not _ready(client):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            counted = 'classifier_internal_errors_total{stage="inference"} 1.0'
            assert counted in client.get("/metrics").text
        assert "this worker ends itself" in stuck.server.log.read_text()
        again = Site(stuck.server)
        with again.client:
            again.require_right_answer()


def _ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_priorities_and_shares_hold_under_threads(shared: Site) -> None:
    """A hundred threads, each with its own connection and class: every answer is its own."""
    wrong: list[int] = []

    def ask(n: int) -> None:
        with shared.server.client() as client:
            for class_id in range(10):
                expected = (n + class_id) % 10
                answer = client.post(TARGET, content=probe_image(class_id=expected))
                if answer.status_code == 200 and answer.json()["predictions"][0]["class_id"] != expected:
                    wrong.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
