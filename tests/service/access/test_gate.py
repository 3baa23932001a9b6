"""service/access/gate.py and rates.py, with a clock in the test's hand."""

import hashlib
import logging
from pathlib import Path
from typing import cast

import pytest

from service.access.gate import Gate
from service.access.keys import Key
from service.access.rates import Rates
from service.admission import Priority
from service.errors import Forbidden, RateLimited, Unauthorized
from service.guard import Guard
from service.http import Handler, Request, Response, Route
from service.metrics import Metrics
from service.settings import Settings
from tests.asgi import request


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def line(name: str, role: str, rate: str = "") -> str:
    """The line of a key that is its own name."""
    return f"{name} {role} {hashlib.sha256(name.encode()).hexdigest()} {rate}\n"


def bearer(name: str) -> dict[bytes, bytes]:
    """Its header."""
    return {b"authorization": b"Bearer " + name.encode()}


def test_who_may_is_let_in_by_name(tmp_path: Path) -> None:
    """And who may not, or is unknown, is told so."""
    path = tmp_path / "keys"
    path.write_text(line("ann", "classify") + line("root", "admin"))
    gate = Gate(path, Rates(None, 1))

    assert gate.admit("classify", bearer("ann")) == "ann"
    assert gate.admit("classify", bearer("root")) == "root"
    assert gate.admit("admin", bearer("root")) == "root"
    with pytest.raises(Forbidden, match="key ann has the role classify; this needs admin"):
        gate.admit("admin", bearer("ann"))
    with pytest.raises(Unauthorized, match="not known"):
        gate.admit("classify", bearer("bob"))
    with pytest.raises(Unauthorized, match="Authorization: Bearer KEY"):
        gate.admit("classify", {})


def test_a_changed_file_counts_within_a_second(tmp_path: Path) -> None:
    """A key that was taken out is good no longer; a broken file changes nothing."""
    path, clock = tmp_path / "keys", Clock()
    path.write_text(line("ann", "classify"))
    gate = Gate(path, Rates(None, 1), clock)
    gate.admit("classify", bearer("ann"))

    path.write_text(line("robert", "classify"))
    clock.now += 1
    assert gate.admit("classify", bearer("robert")) == "robert"
    with pytest.raises(Unauthorized):
        gate.admit("classify", bearer("ann"))

    path.write_text("nonsense")
    clock.now += 1
    assert gate.admit("classify", bearer("robert")) == "robert"
    path.unlink()
    clock.now += 1
    assert gate.admit("classify", bearer("robert")) == "robert"


def test_without_a_file_that_can_be_read_nobody_gets_in(tmp_path: Path) -> None:
    """Rather than everybody."""
    with pytest.raises(Unauthorized):
        Gate(tmp_path / "nowhere", Rates(None, 1)).admit("classify", bearer("ann"))


def test_a_rate_is_a_bucket_of_a_second() -> None:
    """Of this worker's share, refilled steadily, and no fuller after a pause."""
    clock, key = Clock(), Key("ann", "classify", b"")
    rates = Rates(20, 2, clock)

    assert [rates.retry_after_s(key) for _ in range(12)] == [0] * 10 + [1] * 2
    clock.now += 0.2
    assert [rates.retry_after_s(key) for _ in range(3)] == [0, 0, 1]
    clock.now += 3600
    assert [rates.retry_after_s(key) for _ in range(11)] == [0] * 10 + [1]


def test_each_key_has_its_own_bucket_and_may_have_its_own_rate() -> None:
    """A slow one is told how long to wait."""
    clock = Clock()
    rates = Rates(1, 1, clock)
    fast, slow, plain = (Key(name, "classify", b"", rate) for name, rate in (("f", 3.0), ("s", 0.1), ("p", None)))

    assert [rates.retry_after_s(fast) for _ in range(4)] == [0, 0, 0, 1]
    assert [rates.retry_after_s(slow) for _ in range(2)] == [0, 10]
    assert [rates.retry_after_s(plain) for _ in range(2)] == [0, 1]


def test_a_used_up_rate_is_refused(tmp_path: Path) -> None:
    """With the header that says when to come again; a refused role costs nothing."""
    path = tmp_path / "keys"
    path.write_text(line("ann", "classify", "1/s"))
    gate = Gate(path, Rates(None, 1), Clock())

    with pytest.raises(Forbidden):
        gate.admit("admin", bearer("ann"))
    gate.admit("classify", bearer("ann"))
    with pytest.raises(RateLimited) as refused:
        gate.admit("classify", bearer("ann"))

    assert refused.value.headers == ((b"retry-after", b"1"),)


async def test_the_guard_asks_before_it_reads_the_body(tmp_path: Path) -> None:
    """401 with how to ask, 403, 429 with when; routes without a role are open."""
    path = tmp_path / "keys"
    path.write_text(line("ann", "classify", "1/s"))

    async def answers(_: Request) -> Response:
        return Response(b"in")

    routes = (
        Route("/open", {"GET": answers}),
        Route("/work", {"POST": answers}, takes_body=True, role="classify"),
        Route("/rule", {"POST": answers}, role="admin"),
    )
    guard = Guard(routes, Metrics(routes), Settings(keys_file=path), lambda: False)
    ann = {"X-API-Key": "ann"}

    assert (await request(guard, "GET", "/open")).body == b"in"
    nobody = await request(guard, "POST", "/work", b"x")
    assert (nobody.status, nobody.json()["code"], nobody.received) == (401, "unauthorized", 0)
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert (await request(guard, "POST", "/rule", headers=ann)).status == 403
    assert (await request(guard, "POST", "/work", b"x", ann)).body == b"in"
    limited = await request(guard, "POST", "/work", b"x", ann)
    assert (limited.status, limited.json()["code"], limited.headers["retry-after"]) == (429, "rate_limited", "1")


@pytest.fixture
def audit_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """The lines of the audit."""
    monkeypatch.setattr(logging.getLogger("convserve"), "propagate", True)
    caplog.set_level("INFO", "convserve.audit")
    return caplog


async def test_every_use_of_an_admin_route_leaves_a_line(tmp_path: Path, audit_log: pytest.LogCaptureFixture) -> None:
    """Refused ones too; classifying leaves none."""
    path = tmp_path / "keys"
    path.write_text(line("ann", "classify") + line("root", "admin"))

    async def answers(_: Request) -> Response:
        return Response(b"in")

    routes = (Route("/work", {"POST": answers}, role="classify"), Route("/rule", {"POST": answers}, role="admin"))
    guard = Guard(routes, Metrics(routes), Settings(keys_file=path), lambda: False)

    for target, name in (("/work", "ann"), ("/rule", "ann"), ("/rule", "bob"), ("/rule", "root")):
        await request(guard, "POST", target, headers={"X-API-Key": name, "X-Request-ID": f"{name}-1"})

    assert audit_log.messages == [
        "POST /rule: 403, key none, client 127.0.0.1, request ann-1",
        "POST /rule: 401, key none, client 127.0.0.1, request bob-1",
        "POST /rule: 200, key root, client 127.0.0.1, request root-1",
    ]


async def test_of_a_long_path_the_line_has_a_part(tmp_path: Path, audit_log: pytest.LogCaptureFixture) -> None:
    """Anybody may send one, and each is logged."""
    path = tmp_path / "keys"
    path.write_text(line("root", "admin"))
    routes = (Route("/rule/{name}", {"POST": cast("Handler", None)}, role="admin"),)
    guard = Guard(routes, Metrics(routes), Settings(keys_file=path), lambda: False)

    await request(guard, "POST", "/rule/" + "\x7f" * 8000)

    (message,) = audit_log.messages
    assert len(message) < 400
    assert message.startswith("POST /rule/\x7f")
    assert "...: 401, key none" in message


async def test_only_keys_that_may_ask_for_a_high_priority(tmp_path: Path) -> None:
    """The file says which; the key, not the address, is whose share is counted."""
    path = tmp_path / "keys"
    path.write_text(
        line("urgent", "classify", "high") + line("paced", "classify", "9/s high") + line("ann", "classify")
    )
    seen: list[Request] = []

    async def remember(received: Request) -> Response:
        seen.append(received)
        return Response(b"")

    routes = (Route("/", {"GET": remember}, role="classify"),)
    guard = Guard(routes, Metrics(routes), Settings(keys_file=path), lambda: False)

    statuses = [
        (await request(guard, "GET", "/", headers={"X-API-Key": name, "X-Priority": "high"})).status
        for name in ("urgent", "paced", "ann")
    ]

    assert statuses == [200, 200, 403]
    assert [received.claim.client for received in seen] == ["urgent", "paced"]
    assert {received.claim.priority for received in seen} == {Priority.HIGH}
