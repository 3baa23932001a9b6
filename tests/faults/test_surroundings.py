"""F52 to F54: a machine that runs out of things, a log that nobody reads, and text that wants to be more than text."""

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.e2e.server import require
from tests.factories import encode, make_image, shipped_digit
from tests.faults.site import MIB, Site, bounded_memory, settled, site
from tests.faults.wire import connected, head, one_reply, post, replies, seconds_of, until_closed

pytestmark = pytest.mark.e2e
DIGIT, CLASS_ID = shipped_digit()
LIBFAKETIME = "faketime/libfaketime.so.1"


def test_f52_few_file_descriptors(tmp_path: Path) -> None:
    """Connections that cannot be had are not, those that are there go on, and all is well when the others leave."""
    under = ("bash", "-c", 'ulimit -n 256; exec "$0" "$@"')
    with site(tmp_path, under=under) as short, short.fault(grows_bytes=24 * MIB):
        with contextlib.ExitStack() as stack:
            for _ in range(400):  # those above the limit are closed, or wait in the backlog
                stack.enter_context(connected(short.server.port))
            for _ in range(20):
                short.require_right_answer()  # on the connection that was there before
        with short.server.client() as client:
            settled(lambda: _status_of_livez(client), 200)


def _status_of_livez(client: httpx2.Client) -> int:
    """0 as long as there is no connection to be had: libuv accepts and closes what is above the limit."""
    try:
        return client.get("/livez").status_code
    except httpx2.TransportError:
        return 0


def test_f52_nowhere_to_write_the_log(tmp_path: Path) -> None:
    """A full disk behind the log fails no request."""
    under = ("bash", "-c", 'exec "$0" "$@" >/dev/full 2>&1')
    with site(tmp_path, under=under, access_log=1) as full, full.fault(rejected={"unidentified": 1}):
        for _ in range(50):
            full.require_right_answer()
        assert full.classify(b"no image").status_code == 422


def test_f52_too_little_memory(tmp_path: Path) -> None:
    """An image that does not fit is refused and counted, or its body is; the next is answered."""
    large = encode(make_image(3_900, 3_900, "RGB"))  # 44 MiB of pixels; a JPEG would be decoded at reduced scale
    with site(tmp_path) as small:
        with small.fault(rejected={"queue_full": 20}, grows_bytes=32 * MIB):  # it was given 24
            limit_memory(small.worker, str(int(_status(small.worker, "VmSize")) * 1024 + 24 * MIB))
            for _ in range(20):
                answer = small.classify(large)
                assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
                assert "not enough memory" in answer.json()["error"]
                small.require_right_answer()
            limit_memory(small.worker, "unlimited")
        assert small.classify(large).status_code == 200
        assert small.server.workers() == [small.worker]


def limit_memory(pid: int, address_space: str) -> None:
    """Give a process so many bytes of addresses from now on."""
    subprocess.run([require("prlimit"), f"--pid={pid}", f"--as={address_space}:unlimited"], check=True)


def _status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


def test_f52_a_clock_that_jumps(tmp_path: Path) -> None:
    """An hour back and a day ahead: no deadline passes, no duration is negative or huge."""
    require("faketime")
    library = next(Path("/usr/lib").glob(f"*/{LIBFAKETIME}"))
    clock = tmp_path / "clock"
    clock.write_text("+0")
    fakes = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": 1}
    fakes["FAKETIME_DONT_FAKE_MONOTONIC"] = 1
    under = ("env", *(f"{name}={value}" for name, value in fakes.items()))
    with site(tmp_path, under=under) as jumping, jumping.fault(grows_bytes=16 * MIB):
        before = jumping.client.get("/livez").headers["date"]
        for offset in ("-3600", "+86400", "+0"):
            clock.write_text(offset)
            for _ in range(20):
                jumping.require_right_answer()
            if offset == "+86400":  # so that it is known that the clock did jump
                settled(lambda: jumping.client.get("/livez").headers["date"][:16] != before[:16], True)
        found = jumping.metrics()
        sums = {name: value for name, value in found.items() if name.endswith("_sum") or "_sum{" in name}
        assert all(0 <= value < 60 for name, value in sums.items() if "seconds" in name), sums


def test_f53_a_log_that_nobody_reads(tmp_path: Path) -> None:
    """The pipe is full; requests do not notice, and what could not be written is counted once somebody reads."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    under = ("bash", "-c", f'exec 3<>{pipe}; exec "$0" "$@" >{pipe} 2>&1 3>&-')
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # keeps it open, reads nothing
    try:
        with site(tmp_path, under=under, access_log=1) as unread:
            with unread.fault(grows_bytes=48 * MIB):  # the lines that wait
                first = [seconds_of(unread.require_right_answer) for _ in range(100)]
                for _ in range(LOG_LINES // 100 + 10):  # more than the pipe and the queue behind it hold
                    classify_100(unread.server.port)
                last = [seconds_of(unread.require_right_answer) for _ in range(1_000)]
                assert statistics.median(last) < 3 * statistics.median(first) + 0.005
            lines: list[str] = []
            settled(lambda: read_lines(reader, lines) and dropped(lines) > 0, True)
    finally:
        os.close(reader)


LOG_LINES = 10_000  # that may wait to be written


def classify_100(port: int) -> None:
    """A hundred valid requests on one connection, all answered."""
    with connected(port) as plug:
        plug.sendall(post(DIGIT) * 99 + post(DIGIT, "Connection: close"))
        assert [reply.status for reply in replies(until_closed(plug))] == [200] * 100


def read_lines(pipe: int, lines: list[str]) -> bool:
    """Take what the pipe holds."""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(pipe, MIB):
            lines.append(piece.decode())
    return bool(lines)


def dropped(lines: list[str]) -> int:
    """How many the log says that it has lost."""
    return sum(int(count) for count in re.findall(r'"(\d+) lines dropped"', "".join(lines)))


def test_f53_scrapes_without_end(shared: Site) -> None:
    """A hundred a second beside requests: both are answered."""
    stop, scraped = threading.Event(), []

    def scrape() -> None:
        with shared.server.client() as client:
            while not stop.is_set():
                scraped.append(client.get("/metrics").status_code)
                time.sleep(0.005)

    with shared.fault(grows_bytes=24 * MIB):
        threads = [threading.Thread(target=scrape) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            shared.require_right_answer()
        stop.set()
        for thread in threads:
            thread.join()
    assert set(scraped) == {200}


def test_f53_a_scraper_that_does_not_read(shared: Site) -> None:
    """Its answer waits for it, nobody else does."""
    with shared.fault(grows_bytes=24 * MIB), contextlib.ExitStack() as stack:
        for _ in range(20):
            plug = stack.enter_context(connected(shared.server.port))
            plug.sendall(head(target="/metrics", method="GET") * 50)
        for _ in range(50):
            shared.require_right_answer()


def test_f54_lines_that_want_to_be_two(tmp_path: Path) -> None:
    """Whatever a client puts into path, query, user agent or request id: one JSON object a line."""
    with site(tmp_path, access_log=1) as logged:
        start = logged.server.log.stat().st_size
        forged = b'\\r\\n{"level":"critical","message":"forged"}\\x1b[31m'.decode("unicode_escape")
        escaped = "%0d%0a%7b%22level%22:%22critical%22%7d%1b%5b31m"
        paths = [f"/{escaped}", f"/v1/models/{escaped}", f"/v1/classify?top_k={escaped}", f"/v1/classify?{escaped}=1"]
        for path in paths:
            assert logged.client.post(path, content=DIGIT).status_code in (404, 405, 422)
        for name in ("User-Agent", "X-Request-ID", "Content-Type", "X-Client-ID", "X-Forwarded-For"):
            value = forged.replace("\r\n", " ").replace("\x1b", " ")
            with connected(logged.server.port) as plug:
                plug.sendall(post(DIGIT, f"{name}: {value}"))
                assert one_reply(plug).status in (200, 415)
        with connected(logged.server.port) as plug:
            plug.sendall(head("Connection: close", target="/\x1b[31m\xff", method="GET"))
            plug.recv(1_000)
        settled(lambda: '"status": 415' in logged.server.log.read_text(), True)
        time.sleep(0.2)  # for the line of the last
        with logged.server.log.open() as log:
            log.seek(start)
            lines = log.read().splitlines()
    assert len(lines) > 10
    events = [json.loads(line) for line in lines if not line.startswith("20")]  # the arbiter's own begin with a date
    assert not [event for event in events if event["level"] == "critical"]
    assert not [line for line in lines if "\x1b" in line]


def require_no_leak(pid: int, send: Callable[[], object]) -> None:
    """A hundred more requests leave no memory behind, once a hundred have been seen."""
    for _ in range(100):
        send()
    with bounded_memory(pid, MIB):
        for _ in range(100):
            send()


def test_a_leak_is_found(tmp_path: Path) -> None:
    """The same check on a server that keeps every body: it fails, so what passes elsewhere means something."""
    leaky = tmp_path / "leaky.py"
    leaky.write_text(
        "kept = []\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'http': return\n"
        "    body, more = b'', True\n"
        "    while more:\n"
        "        message = await receive()\n"
        "        body += message.get('body', b''); more = message.get('more_body', False)\n"
        "    kept.append(bytearray(body) * 200)\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'0')]})\n"
        "    await send({'type': 'http.response.body', 'body': b''})\n"
    )
    from tests.e2e.server import BENTOML, free_port

    port = free_port()
    server = subprocess.Popen(
        [BENTOML.with_name("uvicorn"), "leaky:app", "--port", str(port), "--log-level", "warning"], cwd=tmp_path
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), connected(port):
                break
            time.sleep(0.05)

        def send() -> None:
            with connected(port) as plug:
                plug.sendall(post(DIGIT, "Connection: close"))
                plug.recv(1_000)

        with pytest.raises(AssertionError, match="MiB more, the bound is 1"):
            require_no_leak(server.pid, send)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


@pytest.mark.parametrize(
    "body", [DIGIT, b"no image", DIGIT[:-30], encode(make_image(300, 300)), b"", encode(make_image(300, 200), "WEBP")]
)
def test_nothing_leaks(shared: Site, body: bytes) -> None:
    """A hundred of each cost no memory that lasts, once a hundred have been seen."""
    answer = shared.classify(body)
    rejected = {} if answer.status_code == 200 else {answer.json()["code"]: 200}
    with shared.fault(rejected=rejected):
        require_no_leak(shared.worker, lambda: shared.classify(body))
