"""service/access/front.py, side_port.py, exposure.py and checks.py."""

import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest

from service.access import exposure, side_port
from service.access.checks import check
from service.access.front import in_front
from service.guard import Guard
from service.http import Request, Response, Route
from service.metrics import Metrics
from service.settings import InvalidSettings, Settings
from tests.asgi import Answer, request

ORIGIN = "https://a.example"


async def call(method: str, path: str, headers: dict[str, str] | None = None, **settings: Any) -> Answer:
    """Ask a site whose only route says its path."""

    async def where(asked: Request) -> Response:
        return Response(asked.path.encode())

    routes = (Route("/where", {"GET": where}),)
    guard = Guard(routes, Metrics(routes), Settings(**settings), lambda: False)
    return await request(in_front(guard, Settings(**settings)), method, path, headers=headers)


async def test_a_prefix_may_be_there_or_not() -> None:
    """Whether the proxy strips it is its affair."""
    for path in ("/where", "/vision/where"):
        answer = await call("GET", path, path_prefix="/vision")
        assert (answer.status, answer.body) == (200, b"/where")
    assert (await call("GET", "/visionwhere", path_prefix="/vision")).status == 404
    assert (await call("GET", "/vision/where")).status == 404


async def test_a_preflight_is_answered() -> None:
    """For the origins of the settings, with the headers that carry keys."""
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-api-key",
    }

    allowed = await call("OPTIONS", "/where", asks, cors_origins=(ORIGIN,))
    refused = await call("OPTIONS", "/where", {**asks, "Origin": "https://b.example"}, cors_origins=(ORIGIN,))

    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert refused.status == 400
    assert "access-control-allow-origin" not in refused.headers


async def test_answers_name_the_origin_that_may_read_them() -> None:
    """Errors too, so that a page can show them; other origins get nothing, and nobody does by default."""
    for path in ("/where", "/nowhere"):
        answer = await call("GET", path, {"Origin": ORIGIN}, cors_origins=(ORIGIN, "https://b.example"))
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["vary"] == "Origin"
        assert "server-timing" in answer.headers["access-control-expose-headers"]
    answer = await call("GET", "/where", {"Origin": "https://c.example"}, cors_origins=(ORIGIN,))
    assert "access-control-allow-origin" not in answer.headers
    answer = await call("GET", "/where", {"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers


def test_metrics_leave_the_port_for_one_of_their_own() -> None:
    """Which also answers probes."""
    routes = [Route(template, {}) for template in ("/v1/classify", "/livez", "/readyz", "/metrics")]

    def templates(chosen: Any) -> list[str]:
        return [route.template for route in chosen]

    assert len(side_port.main_routes(routes, Settings())) == 4
    assert templates(side_port.main_routes(routes, Settings(metrics_port=9000))) == [
        "/v1/classify",
        "/livez",
        "/readyz",
    ]
    assert templates(side_port.side_routes(routes)) == ["/livez", "/readyz", "/metrics"]


def test_a_public_socket_without_keys_is_loud(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback is not, and with keys nothing is."""
    monkeypatch.setattr(exposure.logger.parent, "propagate", True)
    with socket.create_server(("127.0.0.1", 0)):
        assert "127.0.0.1" in exposure.bound_hosts()
        exposure.warn_if_exposed(Settings())
        assert caplog.messages == []
        with socket.create_server(("0.0.0.0", 0)):
            exposure.warn_if_exposed(Settings(keys_file=tmp_path))
            assert caplog.messages == []
            exposure.warn_if_exposed(Settings())
    (line,) = caplog.messages
    assert "OPEN TO EVERYBODY: listening on 0.0.0.0 without keys" in line


def test_what_cannot_be_used_refuses_the_start(tmp_path: Path) -> None:
    """Keys, certificates and a port that is taken, each by the name of its setting."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_text("nonsense")
    good.write_text(f"ann classify {hashlib.sha256(b'ann').hexdigest()}")

    check(Settings(keys_file=good))
    with pytest.raises(InvalidSettings, match=r"CONVSERVE_KEYS_FILE: .*bad:1: must be NAME ROLE"):
        check(Settings(keys_file=bad))
    with pytest.raises(InvalidSettings, match=r"CONVSERVE_TLS_CERTIFICATE=.*nowhere.*: No such file"):
        check(Settings(tls_certificate=tmp_path / "nowhere", tls_key=good))
    with pytest.raises(InvalidSettings, match=r"CONVSERVE_TLS_CERTIFICATE=.*bad, .*good"):
        check(Settings(tls_certificate=bad, tls_key=good))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"CONVSERVE_METRICS_PORT={port}: Address already in use"):
            check(Settings(metrics_port=port))
