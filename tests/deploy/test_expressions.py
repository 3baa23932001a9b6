"""Every expression and every alert on a real Prometheus that scrapes the real service under load."""

import io
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.families import GPU_MEMORY, GPU_MEMORY_TOTAL, GPU_UTILISATION
from tests.deploy.driver import BUSY, TOTAL_BYTES, USED_BYTES, stand_in
from tests.deploy.expressions import of_dashboards, of_rules, of_the_adapter, rules
from tests.deploy.prometheus import Prometheus, scraping
from tests.deploy.tools import need
from tests.deploy.traffic import CAPACITY, Traffic
from tests.e2e.server import Server, serving
from tests.factories import encode
from tests.stores import make_store
from training import data

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Traffic, Prometheus]]:
    """Two workers with a short queue on what says that it has a GPU, after a load of every kind."""
    folder = tmp_path_factory.mktemp("site")
    store = make_store(folder / "store", 3)
    settings = {"model_store": store, "workers": 2, "queue_capacity": CAPACITY, "client_share": 1}
    settings |= {"feedback": 1, "cache_entries": 100, "state_dir": folder / "state"}
    settings |= {"under": stand_in(folder / "driver")}
    with (
        serving(folder, **settings) as server,
        scraping(folder, server.port, accelerator="gpu") as prometheus,
    ):
        prometheus.wait_for("up == 1")
        traffic = Traffic(server)
        traffic.try_versions()
        for _ in range(3):  # a rate needs two scrapes
            traffic.send()
            time.sleep(1.5)
        prometheus.wait_for("rate(classifier_images_total[1m]) > 0")
        traffic.refuse(store)
        yield traffic, prometheus


def test_every_expression_gives_data(site: tuple[Traffic, Prometheus]) -> None:
    """Of every panel of every dashboard, of every rule, and of the autoscaler's metric."""
    traffic, prometheus = site

    def empty() -> list[str]:
        return [
            one.where
            for one in (*of_dashboards(), *of_rules(), *of_the_adapter())
            if all(sample["value"][1] == "NaN" for sample in prometheus.query(one.expression))
        ]

    deadline = time.monotonic() + 30  # a shadow is compared when the device is idle
    while empty() and time.monotonic() < deadline:
        traffic.send()
    assert empty() == []


def test_what_a_gpu_says_is_told(site: tuple[Traffic, Prometheus]) -> None:
    """Its own figures, once for both workers that see it; one that does not say how busy it is has none."""
    _, prometheus = site

    for family, value in ((GPU_UTILISATION, BUSY), (GPU_MEMORY, USED_BYTES), (GPU_MEMORY_TOTAL, TOTAL_BYTES)):
        samples = prometheus.wait_for(family.name)
        assert [(one["metric"]["gpu"], float(one["value"][1])) for one in samples] == [("0", value)], family.name


def test_the_first_failure_is_seen(site: tuple[Traffic, Prometheus]) -> None:
    """Statuses that are our fault are counted from 0 on, on every route, before one of them has been sent."""
    _, prometheus = site

    for code in ("500", "503", "504"):
        routes = {
            one["metric"]["route"] for one in prometheus.query(f'classifier_http_requests_total{{code="{code}"}}')
        }
        assert {"/v1/classify", "/v1/feedback", "/v2/models/{name}/infer"} <= routes
    assert prometheus.query('sum(classifier_http_requests_total{code="500"})')[0]["value"][1] == "0"


def test_recorded_series_are_there(site: tuple[Traffic, Prometheus]) -> None:
    """Prometheus has evaluated the rules as they ship."""
    _, prometheus = site

    for rule in rules("rules.yaml"):
        prometheus.wait_for(rule["record"])


def test_the_exposition_is_clean(site: tuple[Traffic, Prometheus]) -> None:
    """By Prometheus' own linter, on what the service serves after real traffic."""
    traffic, _ = site
    promtool = need("promtool", "prometheus")
    with traffic.server.client() as client:
        text = client.get("/metrics").text

    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def pending(prometheus: Prometheus, *states: str) -> set[str]:
    """The alerts whose condition holds, whether for long enough or not yet; with *states*, those in one of them."""
    found = prometheus.ask("alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in found if not states or alert["state"] in states}


def test_every_alert_sees_its_fault(site: tuple[Traffic, Prometheus]) -> None:
    """Overload, slow requests, a CPU where a GPU was promised; then a worker killed; then nobody there."""
    traffic, prometheus = site
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

    os.kill(traffic.server.workers()[0], signal.SIGKILL)
    await_alerts(prometheus, {"ConvServeWorkersLow"})

    assert traffic.server.stop() == 0
    await_alerts(prometheus, {"ConvServeNoModelReady", "ConvServeInstanceNotReady"})


def await_alerts(prometheus: Prometheus, names: set[str], *states: str) -> None:
    """Wait until these alerts are pending or firing, or in one of *states*."""
    deadline = time.monotonic() + 30
    while missing := names - pending(prometheus, *states):
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)


def test_a_service_that_is_well_raises_nothing_and_drift_is_seen(tmp_path: Path) -> None:
    """Images like those of the test, and clients' own faults, wake nobody; then others come than it was tested on."""
    files = data.load("digits").test.files
    alike = [files[i] for i in np.random.default_rng(0).permutation(len(files))]
    with serving(tmp_path) as server, scraping(tmp_path, server.port, fires_after="2s") as prometheus:
        prometheus.wait_for("up == 1")
        send(server, alike)
        time.sleep(1.5)  # a rate needs two scrapes
        send(server, alike)
        prometheus.wait_for("job:classifier_failed:ratio_rate1h")
        prometheus.wait_for(f"classifier_confidence_count == {2 * len(alike)}")
        prometheus.wait_for("classifier_drift_psi")
        time.sleep(4)  # all of it is evaluated, more than once

        assert pending(prometheus) == set()

        send(server, [inverted(file) for file in alike])
        await_alerts(prometheus, {"ConvServeDrift"}, "firing")
        assert pending(prometheus) == {"ConvServeDrift"}


def send(server: Server, files: list[bytes]) -> None:
    """Classify all of *files*, and one that is broken."""
    with server.client() as client:
        assert {client.post("/v1/classify", content=file).status_code for file in files} == {200}
        assert client.post("/v1/classify", content=files[0][:50]).status_code == 422


def inverted(file: bytes) -> bytes:
    """Black on white, where the model knows white on black."""
    return encode(ImageOps.invert(Image.open(io.BytesIO(file)).convert("L")))
