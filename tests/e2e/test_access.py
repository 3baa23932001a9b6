"""Keys, rates, origins, a prefix, TLS and the metrics' own port on real servers."""

import hashlib
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.server import Server, free_port, require, serving, start
from tests.factories import shipped_digit

pytestmark = pytest.mark.e2e
ORIGIN = "https://a.example"


@pytest.fixture(scope="module")
def metrics_port() -> int:
    """The port that the metrics of `server` have."""
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, metrics_port: int) -> Iterator[Server]:
    """Two workers with everything that access settings offer, but for TLS."""
    folder = tmp_path_factory.mktemp("access")
    keys = folder / "keys"
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "slow", "root")}
    keys.write_text(
        f"ann classify {digests['ann']}\nslow classify {digests['slow']} 2/s\nroot admin {digests['root']}\n"
    )
    with serving(
        folder, workers=2, keys_file=keys, cors_origins=ORIGIN, path_prefix="/vision", metrics_port=metrics_port
    ) as started:
        yield started


def classify(server: Server, headers: dict[str, str], path: str = "/v1/classify") -> httpx2.Response:
    """Post a digit on a connection of its own, so that either worker may get it."""
    with server.client() as client:
        return client.post(path, content=shipped_digit(7)[0], headers=headers)


def test_keys_and_roles(server: Server) -> None:
    """Whichever worker answers."""
    for _ in range(8):
        assert classify(server, {"Authorization": "Bearer ann"}).status_code == 200
        assert classify(server, {"X-API-Key": "root"}).status_code == 200
        nobody = classify(server, {"Authorization": "Bearer bob"})
        assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthorized")
        assert nobody.headers["www-authenticate"] == "Bearer"
    with server.client() as client:
        assert client.get("/v1/models").status_code == 401
        assert {client.get(path).status_code for path in ("/livez", "/readyz")} == {200}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/lenet/promote", {"version": 1}),
        ("/v1/models/lenet/load", {}),
        ("/v1/models/lenet/unload", {}),
        ("/v1/models/lenet/rollback", {}),
        ("/v2/repository/models/lenet/load", {}),
        ("/v2/repository/models/lenet/unload", {}),
    ],
)
def test_only_admins_change_what_is_served(server: Server, path: str, body: dict[str, int]) -> None:
    """A classify key is refused with 403, on both workers; the admin's is let in; each leaves its line of audit."""
    with server.client() as client:
        refused = client.post(path, json=body, headers={"X-API-Key": "ann"})
        assert classify(server, {"X-API-Key": "ann"}).status_code == 200  # it is still served
        done = client.post(path, json=body, headers={"X-API-Key": "root"})
        if path.endswith("unload"):
            assert client.post("/v1/models/lenet/load", headers={"X-API-Key": "root"}).status_code == 200

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "key ann has the role classify; this needs admin" in refused.json()["error"]
    no_previous = path.endswith("rollback")  # nothing was promoted: the request got in, and cannot be done
    assert (done.status_code, done.json().get("code")) == ((409, "conflict") if no_previous else (200, None))
    for answer in (refused, done):
        (line,) = wait_for_audit(server, answer.headers["x-request-id"])
        assert line.startswith(f"POST {path}: {answer.status_code}, key ")
    assert ", key root, client 127.0.0.1, " in line


def wait_for_audit(server: Server, request_id: str) -> list[str]:
    """The lines that a request left in the audit log, once a thread has written one."""
    deadline = time.monotonic() + 20
    while True:
        entries = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        found = [
            entry["message"]
            for entry in entries
            if entry["logger"] == "convserve.audit" and entry["message"].endswith(f"request {request_id}")
        ]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_a_rate_is_shared_by_the_workers(server: Server) -> None:
    """2/s with two workers: each lets one in and refuses the rest of the burst, with a time to come again."""
    answers = [classify(server, {"X-API-Key": "slow"}) for _ in range(40)]

    limited = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert len(limited) > 20
    assert {(answer.json()["code"], int(answer.headers["retry-after"]) >= 1) for answer in limited} == {
        ("rate_limited", True)
    }


def test_a_prefix_and_an_origin(server: Server) -> None:
    """As a browser behind a proxy sees them."""
    headers = {"X-API-Key": "ann", "Origin": ORIGIN}
    for path in ("/v1/classify", "/vision/v1/classify"):
        answer = classify(server, headers, path)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    with server.client() as client:
        preflight = client.options(
            "/vision/v1/classify",
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "X-API-Key",
            },
        )
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ORIGIN)


def test_metrics_have_their_own_port(server: Server, metrics_port: int) -> None:
    """For all workers together, without a key, and nowhere else."""
    with server.client() as client:
        assert client.get("/metrics").status_code == 404
    for _ in range(6):
        with httpx2.Client(base_url=f"http://127.0.0.1:{metrics_port}") as client:
            assert "classifier_workers 2.0" in client.get("/metrics").text
            assert client.get("/readyz").status_code == 200
            assert client.post("/v1/classify", content=b"x").status_code == 404


def test_tls_from_files(tmp_path: Path) -> None:
    """The port speaks TLS 1.2 or newer, and no plain HTTP."""
    openssl = require("openssl")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-noenc", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    server = start(tmp_path, drain_delay_s=0, tls_certificate=certificate, tls_key=key)
    try:
        server.wait_ready()
        trusting = ssl.create_default_context(cafile=str(certificate))
        with httpx2.Client(base_url=server.url, verify=trusting) as client:
            answer = client.post("/v1/classify", content=shipped_digit(7)[0])
        assert server.url.startswith("https://")
        assert answer.json()["predictions"][0]["class_id"] == shipped_digit(7)[1]
        with pytest.raises(httpx2.TransportError):
            httpx2.get(server.url.replace("https", "http") + "/livez")
    finally:
        assert server.stop() == 0


def test_a_public_address_without_keys_is_loud(tmp_path: Path) -> None:
    """One line, however many workers; loopback has none."""
    loud = "OPEN TO EVERYBODY: listening on 0.0.0.0 without keys"
    server = start(tmp_path, host="0.0.0.0", workers=2, drain_delay_s=0)
    try:
        server.wait_ready()
        deadline = time.monotonic() + 30  # the worker that says it need not be the first that is ready
        while loud not in server.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        server.stop()

    assert server.log.read_text().count(loud) == 1


def test_keys_that_cannot_be_read_refuse_the_start(tmp_path: Path) -> None:
    """Rather than let everybody in, or nobody."""
    (tmp_path / "keys").write_text("nonsense")
    server = start(tmp_path, keys_file=tmp_path / "keys")

    assert server.process.wait(30) != 0
    assert "CONVSERVE_KEYS_FILE" in server.log.read_text()
    assert ":1: must be NAME ROLE SHA256" in server.log.read_text()
