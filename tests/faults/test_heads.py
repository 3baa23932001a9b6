"""F07 to F11, F14 to F16: heads that are late, endless, contradictory, or no HTTP at all."""

import contextlib
import json
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.server import require
from tests.faults.site import Site
from tests.faults.wire import connected, head, one_reply, post, replies, talk, until_closed

pytestmark = pytest.mark.e2e
HEADER_TIMEOUT_S = 2
GOOD = head("Content-Length: 0", target="/livez", method="GET")


@pytest.mark.parametrize("sent", [b"", b"POST /v1/cl", head()[:-2], b"\r\n"])
def test_f07_a_silent_connection_is_closed(shared: Site, sent: bytes) -> None:
    """Whatever part of a head has come, after the header timeout and not before."""
    with shared.fault(), connected(shared.server.port) as plug:
        began = time.monotonic()
        plug.sendall(sent)
        assert until_closed(plug) == b""
        assert HEADER_TIMEOUT_S - 0.5 < time.monotonic() - began < HEADER_TIMEOUT_S + 3


SLOW = {  # of slowhttptest: options, and connections
    "heads": (("-H", "-u", "/livez"), 500),
    "bodies": (("-B", "-s", "4096", "-u", "/v1/classify"), 200),
    "readers": (("-X", "-w", "1", "-y", "20", "-n", "1", "-z", "5", "-k", "3", "-u", "/v1/models"), 200),
}
PROBES = 'classifier_rejected_total{reason="method"}'  # the tool looks with GET whether the server still answers


@pytest.mark.parametrize("kind", SLOW)
def test_f07_slow_clients_from_slowhttptest(shared: Site, tmp_path: Path, kind: str) -> None:
    """Hundreds of slow heads, bodies and readers: valid traffic goes on, and the log is no longer for it."""
    (*options, path), connections = SLOW[kind]
    rejected, probes = {"slow_client": connections} if kind == "bodies" else {}, shared.metrics()[PROBES]
    logged = shared.server.log.stat().st_size
    command = [require("slowhttptest"), *options, f"{shared.server.url}{path}"]
    command += ["-c", str(connections), "-r", str(connections), "-i", "1", "-l", "6", "-x", "24", "-p", "2"]
    with shared.fault(rejected=rejected, grows_bytes=24 * 2**20):
        attack = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        answered = 0
        while attack.poll() is None:
            shared.require_right_answer()
            answered += 1
        assert attack.returncode == 0
        if kind == "bodies":
            rejected["method"] = int(shared.metrics()[PROBES] - probes)
    assert answered > 100
    assert shared.server.log.stat().st_size - logged < 2_000


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Long: " + "a" * 70_000],
        [f"X-{n}: {n}" for n in range(101)],
        [f"X-{n}: " + "b" * 1_000 for n in range(80)],
        ["X-Endless: " + "c" * 5_000_000],
    ],
)
def test_f08_heads_without_end(shared: Site, headers: list[str]) -> None:
    """431 and closed: one header of megabytes, or too many of them."""
    with shared.fault():
        (reply,) = talk(shared.server.port, head(*headers))
        assert (reply.status, reply.headers["connection"]) == (431, "close")


def test_f09_a_url_of_200_kilobytes(shared: Site) -> None:
    """414 and closed."""
    with shared.fault():
        (reply,) = talk(shared.server.port, head(target="/" + "a" * 200_000, method="GET"))
        assert reply.status == 414


SMUGGLED = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        head("Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
        head("Content-Length: 3", "Content-Length: 4") + b"abcd" + SMUGGLED,
        head("Content-Length: -1") + SMUGGLED,
        head("Content-Length: +3") + b"abc" + SMUGGLED,
        head("Content-Length: 3, 3") + b"abc" + SMUGGLED,
        head("Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n" + SMUGGLED,
        head("X-Bare: a\rb") + SMUGGLED,
        head("X-Bare: a\nX-B\x00ad: b") + SMUGGLED,
        head("X-Bare: a\nX-B: b") + SMUGGLED,
        head("Content-Length: 0").replace(b"x\r\n", b"x\n") + SMUGGLED,
        head("Content-Length: 0").replace(b"\r\n\r\n", b"\r\n\n") + SMUGGLED,
        head("Content-Length: 0").replace(b"\r\n", b"\n") + SMUGGLED,
        head("Transfer-Encoding: chunked") + b"3\nabc\r\n0\r\n\r\n" + SMUGGLED,
        head("X-Nul: a\x00b") + SMUGGLED,
        head("X Space: a") + SMUGGLED,
        head(" Folded: a") + SMUGGLED,
        b"POST /v1/classify HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + SMUGGLED,  # no Host
        head("Host: y", "Content-Length: 0") + SMUGGLED,  # two
        head("Transfer-Encoding: chunked") + b"-1\r\n\r\n" + SMUGGLED,
        head("Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n" + SMUGGLED,
    ],
)
def test_f10_contradictory_heads_smuggle_nothing(shared: Site, sent: bytes) -> None:
    """400 and closed; what follows is never taken for a request."""
    with shared.fault():
        found = talk(shared.server.port, sent)
        assert [reply.status for reply in found] == [400]
        assert json.loads(found[0].body)["code"] == "bad_request"


def test_f11_pipelined_requests_are_answered_in_order(shared: Site) -> None:
    """Up to a bad one in the middle, which is the last."""
    sent = GOOD + post(b"no image") + GOOD + b"GARBAGE\r\n\r\n" + GOOD
    with shared.fault(rejected={"unidentified": 1}):
        assert [reply.status for reply in talk(shared.server.port, sent)] == [200, 422, 200, 400]


def test_f14_other_protocols(shared: Site) -> None:
    """HTTP/2's preface, TLS and a websocket upgrade crash nothing and get no more than a refusal."""
    http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    tls = bytes.fromhex("16030100f8010000f40303") + bytes(240)
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"]
    with shared.fault(rejected={"method": 1}):
        assert [reply.status for reply in talk(shared.server.port, http2)] == [400]
        assert [reply.status for reply in talk(shared.server.port, tls)] == [400]
        (reply,) = talk(shared.server.port, head(*upgrade, method="GET"))
        assert reply.status == 405


def test_f15_ten_thousand_unknown_paths(shared: Site) -> None:
    """404 each, in one series."""
    series = len(shared.metrics())
    with shared.fault(rejected={"not_found": 10_000}), connected(shared.server.port) as plug:
        for start in range(0, 10_000, 100):
            plug.sendall(b"".join(head(target=f"/no/{n}?{n}", method="GET") for n in range(start, start + 100)))
            received = b""
            while received.count(b'"not_found"') < 100:
                received += plug.recv(65_536)
            assert {reply.status for reply in replies(received)} == {404}
    now = shared.metrics()
    assert now['classifier_http_requests_total{code="404",method="_OTHER",route="_other"}'] >= 10_000
    assert len(now) <= series + 1  # the code 404 of that route, once


def test_f16_odd_methods(shared: Site) -> None:
    """405 that names the allowed ones, in one series; what is no method is no HTTP."""
    methods = ("TRACE", "PATCH", "CONNECT", "PROPFIND", "M-SEARCH")
    with shared.fault(rejected={"method": len(methods)}):
        for method in methods:
            found = talk(shared.server.port, head("Connection: close", method=method))
            assert [(reply.status, reply.headers["allow"]) for reply in found] == [(405, "POST")]
        for line in (b"GE T / HTTP/1.1\r\nHost: x\r\n\r\n", b"get / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\r\n\r\n"):
            assert [reply.status for reply in talk(shared.server.port, line)] == [400]
    assert not [name for name in shared.metrics() if any(f'method="{method}"' in name for method in methods)]


def test_connections_that_break_are_forgotten(shared: Site) -> None:
    """Resets at every byte of a request, and a thousand connections that say nothing and leave."""
    request = post(b"no image")

    def break_off(at: int) -> None:
        with connected(shared.server.port) as plug:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset instead of goodbye
            plug.sendall(request[:at])

    before = shared.metrics()
    with contextlib.suppress(OSError):
        for at in range(len(request)):
            break_off(at)

    def say_nothing() -> None:
        for _ in range(100):
            break_off(0)

    threads = [threading.Thread(target=say_nothing) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.require_right_answer()
    assert (
        shared.metrics()['classifier_internal_errors_total{stage="request"}']
        == (before['classifier_internal_errors_total{stage="request"}'])
    )
    with connected(shared.server.port) as plug:
        plug.sendall(GOOD)
        assert one_reply(plug).status == 200
