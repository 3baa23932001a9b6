"""F01 to F06, F12, F13: bodies that are too long, too slow, or not what they say."""

import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.server import require
from tests.factories import shipped_digit
from tests.faults.site import MIB, Site, cpu_s, settled, site
from tests.faults.wire import connected, head, one_reply, post, seconds_of, talk, until_closed

pytestmark = pytest.mark.e2e
LIMIT = 10 * MIB
CURL = ("-sS", "-w", "%{http_code}", "-o", "/dev/null", "--data-binary", "@-")


def test_f01_a_declared_length_above_the_limit(shared: Site) -> None:
    """413 before the body is read, and readable by clients that send on regardless."""
    with shared.fault(rejected={"body_too_large": 3}):
        (reply,) = talk(shared.server.port, head(f"Content-Length: {LIMIT + 1}"))
        assert (reply.status, reply.code, reply.headers["connection"]) == (413, "body_too_large", "close")
        answer = shared.classify(bytes(LIMIT + 1))
        assert answer.json()["code"] == "body_too_large"
        curl = subprocess.run(
            [require("curl"), *CURL, f"{shared.server.url}/v1/classify"],
            input=bytes(LIMIT + 1),
            capture_output=True,
            check=False,
        )
        assert (curl.returncode, curl.stdout) == (0, b"413")


def chunked(pieces: int, size: int) -> list[bytes]:
    """A chunked body."""
    return [b"%x\r\n%s\r\n" % (size, bytes(size))] * pieces + [b"0\r\n\r\n"]


def test_f02_a_chunked_body_above_the_limit(shared: Site) -> None:
    """413 as soon as the count passes; a hundred of them leave no memory behind."""
    request = [head("Transfer-Encoding: chunked"), *chunked(11, MIB)]
    # one body of 10 MiB, and its copy; and what a first few hundred touch for the first time
    with shared.fault(rejected={"body_too_large": 300}, grows_bytes=48 * MIB):
        for _ in range(300):
            (reply,) = talk(shared.server.port, *request)
            assert (reply.status, reply.code) == (413, "body_too_large")

    with shared.fault(rejected={"body_too_large": 100}, grows_bytes=MIB):
        for _ in range(100):
            talk(shared.server.port, *request)


def test_f03_exactly_the_limit_is_allowed(shared: Site) -> None:
    """And one byte less: the picture in front of the padding is classified."""
    digit, class_id = shipped_digit()
    with shared.fault(grows_bytes=48 * MIB):
        for size in (LIMIT, LIMIT - 1):
            answer = shared.classify(digit.ljust(size, b"\0"))
            assert answer.status_code == 200
            assert answer.json()["predictions"][0]["class_id"] == class_id


def test_f04_a_body_in_single_bytes(shared: Site) -> None:
    """A million chunks cost seconds at most, and no memory."""
    request = head("Transfer-Encoding: chunked") + b"1\r\n\0\r\n" * 1_000_000 + b"0\r\n\r\n"

    def send() -> None:
        with connected(shared.server.port) as plug:
            plug.sendall(request)
            reply = one_reply(plug)
        assert (reply.status, reply.code) == (422, "unidentified")  # within the limit, and no image

    with shared.fault(rejected={"unidentified": 3}, grows_bytes=24 * MIB):
        for _ in range(3):
            used_s = cpu_s(shared.worker)
            send()
            assert cpu_s(shared.worker) - used_s < 5


def test_f04_more_single_bytes_than_the_limit(tmp_path: Path) -> None:
    """413 as soon as they are too many; a hundred times a million leave no memory behind."""
    request = head("Transfer-Encoding: chunked") + b"1\r\n\0\r\n" * 1_000_000
    with site(tmp_path, max_body_bytes=400_000) as narrow:

        def send() -> None:
            used_s = cpu_s(narrow.worker)
            (reply,) = talk(narrow.server.port, request)
            assert (reply.status, reply.code) == (413, "body_too_large")
            assert cpu_s(narrow.worker) - used_s < 5

        with narrow.fault(rejected={"body_too_large": 10}, grows_bytes=24 * MIB):
            for _ in range(10):
                send()
        with narrow.fault(rejected={"body_too_large": 100}, grows_bytes=MIB):
            for _ in range(100):
                send()


def test_f05_a_body_that_stops(shared: Site) -> None:
    """408 at the deadline, and no place was held meanwhile."""
    with shared.fault(rejected={"slow_client": 1}), connected(shared.server.port) as plug:
        plug.sendall(head("Content-Length: 1000") + b"some of it")
        settled(lambda: shared.metrics()["classifier_requests_in_flight"], 2.0)
        assert shared.metrics()['classifier_queue_depth{model="lenet",version="1"}'] == 0
        reply = one_reply(plug)
        assert (reply.status, reply.code, reply.headers["connection"]) == (408, "slow_client", "close")
        assert until_closed(plug) == b""


def test_f06_a_body_that_drips(shared: Site) -> None:
    """The deadline is for the whole body, however steadily it comes."""
    with shared.fault(rejected={"slow_client": 1}), connected(shared.server.port) as plug:
        plug.sendall(head("Content-Length: 1000"))
        began, status = time.monotonic(), 0
        plug.settimeout(0.1)
        while not status:
            plug.sendall(b"x")
            try:
                status = one_reply(plug).status
            except TimeoutError:
                assert time.monotonic() - began < 5
        assert status == 408
        assert time.monotonic() - began >= 1


def test_f12_a_body_that_asks_first(shared: Site) -> None:
    """Expect: 100-continue with too great a length gets 413 and no 100; with a fair one both."""
    digit, _ = shipped_digit()
    with shared.fault(rejected={"body_too_large": 1}):
        with connected(shared.server.port) as plug:
            plug.sendall(head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
            assert until_closed(plug).startswith(b"HTTP/1.1 413 ")
        with connected(shared.server.port) as plug:
            plug.sendall(head(f"Content-Length: {len(digit)}", "Expect: 100-continue"))
            assert plug.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            plug.sendall(digit)
            assert one_reply(plug).status == 200


def test_f13_compressed_bodies(shared: Site) -> None:
    """415, and nothing is unpacked: a bomb of a gigabyte is a megabyte to us."""
    bomb = subprocess.run(["gzip", "-c"], input=bytes(100 * MIB), capture_output=True, check=True).stdout
    with shared.fault(rejected={"media_type": 3}):
        for encoding in ("gzip", "deflate", "br"):
            reply = talk(shared.server.port, post(bomb, f"Content-Encoding: {encoding}", "Connection: close"))[0]
            assert (reply.status, reply.code) == (415, "media_type")


def test_slow_bodies_leave_places_to_others(shared: Site) -> None:
    """Fifty stalled uploads beside valid traffic."""
    with shared.fault(rejected={"slow_client": 50}), contextlib.ExitStack() as stack:
        plugs = [stack.enter_context(connected(shared.server.port)) for _ in range(50)]
        for plug in plugs:
            plug.sendall(head("Content-Length: 1000") + b"x")
        assert seconds_of(shared.require_right_answer) < 1
        assert {one_reply(plug).status for plug in plugs} == {408}
