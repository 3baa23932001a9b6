"""Every expression and every alert on a real Prometheus that scrapes the real service under load."""

import io
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.deploy.expressions import of_dashboards, of_rules, of_the_adapter, rules
from tests.deploy.prometheus import Prometheus, scraping
from tests.deploy.tools import need
from tests.e2e.server import Server, serving
from tests.factories import encode, shipped_digit
from tests.stores import make_store
from training import data

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Prometheus]]:
    """Two workers with a short queue, said to have a GPU, after a load of every kind."""
    folder = tmp_path_factory.mktemp("site")
    store = make_store(folder / "store", 3)
    settings = {"model_store": store, "workers": 2, "queue_capacity": 16, "client_share": 1}
    with (
        serving(folder, **settings) as server,
        scraping(folder, server.port, accelerator="gpu") as prometheus,
    ):
        prometheus.wait_for("up == 1")
        try_versions(server)
        for _ in range(3):  # a rate needs two scrapes
            load(server)
            time.sleep(1.5)
        prometheus.wait_for("rate(classifier_images_total[1m]) > 0")
        refuse(server, store)
        yield server, prometheus


def try_versions(server: Server) -> None:
    """Beside version 3, which is active: 2 as a canary, 1 as a shadow."""
    with server.client() as client:
        for role, body in (("canary", {"version": 2, "percent": 30}), ("shadow", {"version": 1})):
            answer = client.post(f"/v1/models/lenet/{role}", json=body)
            assert answer.status_code == 200, answer.text


def load(server: Server) -> None:
    """Answers of every sort: right ones, the client's faults, ours for lack of room, and slow ones."""
    digit, _ = shipped_digit(1)
    files = [("files", (f"{i}.png", digit, "image/png")) for i in range(20)]
    with server.client() as client:
        for _ in range(100):
            assert client.post("/v1/classify", content=digit).status_code == 200
        assert client.post("/v1/classify", content=digit[:50]).status_code == 422
        assert client.get("/nowhere").status_code == 404
        for _ in range(20):
            assert client.post("/v1/classify", files=files).status_code == 503  # twenty never fit into sixteen places
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(lambda _: slowly(server, digit), range(5))) == [b"HTTP/1.1 200"] * 5


def refuse(server: Server, store: Path) -> None:
    """Ask for a version that cannot be loaded: its spec says that it is another."""
    shutil.copytree(store / "lenet" / "1", store / "lenet" / "4")
    with server.client() as client:
        assert client.post("/v1/models/lenet/load", json={"version": 4}).status_code == 409


def slowly(server: Server, body: bytes) -> bytes:
    """Send a body with a pause longer than the objective; return the status line of the answer."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        time.sleep(0.5)
        connection.sendall(body)
        return connection.recv(12)


def test_every_expression_gives_data(site: tuple[Server, Prometheus]) -> None:
    """Of every panel of every dashboard, of every rule, and of the autoscaler's metric."""
    server, prometheus = site

    def empty() -> list[str]:
        shipped = [*of_dashboards(), *of_rules(), *of_the_adapter()]
        return [
            one.where
            for one in shipped
            if all(sample["value"][1] == "NaN" for sample in prometheus.query(one.expression))
        ]

    deadline = time.monotonic() + 30  # a shadow is compared when the device is idle
    while empty() and time.monotonic() < deadline:
        load(server)
    assert empty() == []


def test_recorded_series_are_there(site: tuple[Server, Prometheus]) -> None:
    """Prometheus has evaluated the rules as they ship."""
    _, prometheus = site

    for rule in rules("rules.yaml"):
        prometheus.wait_for(rule["record"])


def test_the_exposition_is_clean(site: tuple[Server, Prometheus]) -> None:
    """By Prometheus' own linter, on what the service serves after real traffic."""
    server, _ = site
    promtool = need("promtool", "prometheus")
    with server.client() as client:
        text = client.get("/metrics").text

    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def pending(prometheus: Prometheus) -> set[str]:
    """The alerts whose condition holds, whether for long enough or not yet."""
    return {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}


def test_every_alert_sees_its_fault(site: tuple[Server, Prometheus]) -> None:
    """Overload, slow requests, a CPU where a GPU was promised; then a worker killed; then nobody there."""
    server, prometheus = site
    under_load = {
        "ConvServeErrorBudgetBurnsFast",
        "ConvServeErrorBudgetBurnsSlowly",
        "ConvServeSlow",
        "ConvServeQueueSaturated",
        "ConvServeOnCpu",
        "ConvServeLoadFailed",
        "ConvServeDrift",  # a model that answers all images alike
    }
    await_alerts(prometheus, under_load)
    assert pending(prometheus) == under_load

    os.kill(server.workers()[0], signal.SIGKILL)
    await_alerts(prometheus, {"ConvServeWorkersLow"})

    assert server.stop() == 0
    await_alerts(prometheus, {"ConvServeNoModelReady", "ConvServeInstanceNotReady"})


def await_alerts(prometheus: Prometheus, names: set[str]) -> None:
    """Wait until these alerts are pending or firing."""
    deadline = time.monotonic() + 30
    while missing := names - pending(prometheus):
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)


def test_a_service_that_is_well_raises_nothing_and_drift_is_seen(tmp_path: Path) -> None:
    """Images like those of the test, and clients' own faults, wake nobody; then others come than it was tested on."""
    files = data.load("digits").test.files
    alike = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    with serving(tmp_path) as server, scraping(tmp_path, server.port) as prometheus:
        prometheus.wait_for("up == 1")
        send(server, alike)
        time.sleep(1.5)  # a rate needs two scrapes
        send(server, alike)
        prometheus.wait_for("job:classifier_failed:ratio_rate1h")
        prometheus.wait_for("classifier_drift_psi")

        assert pending(prometheus) == set()

        send(server, [inverted(file) for file in alike])
        await_alerts(prometheus, {"ConvServeDrift"})
        assert pending(prometheus) == {"ConvServeDrift"}


def send(server: Server, files: list[bytes]) -> None:
    """Classify all of *files*, and one that is broken."""
    with server.client() as client:
        assert {client.post("/v1/classify", content=file).status_code for file in files} == {200}
        assert client.post("/v1/classify", content=files[0][:50]).status_code == 422


def inverted(file: bytes) -> bytes:
    """Black on white, where the model knows white on black."""
    return encode(ImageOps.invert(Image.open(io.BytesIO(file)).convert("L")))
