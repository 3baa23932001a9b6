"""The images as they run: locked down, ready, right, scraped, healthy, and gone when told."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx2
import pytest

from tests.deploy.containers import Container, engine, image, running, tool
from tests.deploy.prometheus import scraping
from tests.e2e.server import ROOT
from tests.reporting import MUST_SHOW

pytestmark = pytest.mark.slow
SAMPLE = (ROOT / "docs" / "samples" / "7.png").read_bytes()
MAX_BYTES = 300 * 10**6  # of the layers above the base image
STARTS = 5
Record = Callable[[str, object], None]


def classify(container: Container) -> str:
    """The label that it gives the sample."""
    answer = httpx2.post(f"{container.url}/v1/classify?top_k=1", content=SAMPLE, timeout=20)
    assert answer.status_code == 200, answer.text
    label: str = answer.json()["predictions"][0]["label"]
    return label


def test_the_image_serves_locked_down(record_property: Record) -> None:
    """Ready, classifies, healthy, not root, nothing writable but /tmp, and exit status 0 on SIGTERM."""
    record_property(
        MUST_SHOW, "the image of deploy/Dockerfile, locked down and read-only, classifies, and ends on SIGTERM"
    )
    with running(image(), "--env=CONVSERVE_DRAIN_DELAY_S=0") as container:
        container.wait_ready()

        assert classify(container) == "7"
        tool("exec", container.name, "python", "/app/healthcheck.py")
        assert tool("exec", container.name, "id", "-u") == "10001"
        status = tool("exec", container.name, "cat", "/proc/1/status")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        with pytest.raises(AssertionError, match="Read-only"):
            tool("exec", container.name, "touch", "/app/new")

        container.terminate()
        assert container.wait() == 0


def test_the_image_is_ready_soon(record_property: Record) -> None:
    """From the engine's command to `/readyz`, several times."""
    record_property(MUST_SHOW, "it is ready in under 5 s")
    seconds = []
    for _ in range(STARTS):
        with running(image()) as container:
            seconds.append(container.wait_ready(within_s=30))
    record_property("ready, s, median", round(median(seconds), 2))
    record_property("ready, s, slowest", round(max(seconds), 2))
    assert median(seconds) < 5


def test_a_start_compiles_nothing() -> None:
    """All bytecode is there, and valid whatever times the layers have given the files."""
    with running(image()) as container:
        said = tool("exec", container.name, "sh", "-c", "python -v -c 'import service.service' 2>&1")

    read = re.findall(r"^# code object from (.+)$", said, re.MULTILINE)
    assert len(read) > 400
    assert [name for name in read if not name.strip("'").endswith(".pyc")] == []


def test_the_image_serves_a_mounted_store(tmp_path: Path) -> None:
    """A folder of the host, read-only."""
    shutil.copytree(ROOT / "models" / "repository" / "lenet", tmp_path / "digits-of-ours" / "lenet")
    mount = f"--volume={tmp_path / 'digits-of-ours'}:/models:ro"
    with running(image(), mount, "--env=CONVSERVE_MODEL_STORE=/models") as container:
        container.wait_ready()

        assert classify(container) == "7"


def test_the_image_serves_as_kserve_starts_it() -> None:
    """One version's folder as /mnt/models, under a name of its own, by the Open Inference Protocol."""
    mount = f"--volume={ROOT / 'models' / 'repository' / 'lenet' / '1'}:/mnt/models:ro"
    environ = ("--env=CONVSERVE_MODEL_STORE=/mnt/models", "--env=CONVSERVE_SERVED_NAME=digits")
    with running(image(), mount, *environ) as container:
        container.wait_ready()

        assert httpx2.get(f"{container.url}/v2/health/ready").status_code == 200
        assert httpx2.get(f"{container.url}/v2/models/digits/ready").json() == {"name": "digits", "ready": True}


def test_prometheus_scrapes_the_container(tmp_path: Path, record_property: Record) -> None:
    """What was classified is counted there."""
    record_property(MUST_SHOW, "it is scraped by Prometheus")
    with running(image()) as container, scraping(tmp_path, container.port) as prometheus:
        container.wait_ready()
        classify(container)

        (sample,) = prometheus.wait_for('classifier_images_total{job="convserve"} == 1')

        assert sample["metric"]["model"] == "lenet"
        assert prometheus.query('up{job="convserve"}')[0]["value"][1] == "1"


def test_the_image_is_small(record_property: Record) -> None:
    """What lies above the base image, unpacked."""
    record_property(MUST_SHOW, "its layers above the base are under 300 MB")
    base = int(tool("image", "inspect", "--format={{.Size}}", "python:3.11-slim"))
    ours = int(tool("image", "inspect", "--format={{.Size}}", image()))
    record_property("MB above the base", round((ours - base) / 1e6))

    assert ours - base < MAX_BYTES


def test_the_image_of_the_bento_serves_locked_down(record_property: Record) -> None:
    """BentoML's own image of the same service: ready, classifies, not root, and gone when told."""
    record_property(MUST_SHOW, "BentoML's image of the same Bento is ready and classifies")
    engine()
    named = os.environ.get("BENTO_IMAGE")
    if named is None:
        pytest.skip("BENTO_IMAGE names no image (`make container` builds one)")
    options = ("--env=BENTOML_HOME=/tmp/bentoml", "--env=CONVSERVE_DRAIN_DELAY_S=0")
    with running(named, *options) as container:
        record_property("ready, s", round(container.wait_ready(), 2))

        assert classify(container) == "7"
        assert tool("exec", container.name, "id", "-u") != "0"

        container.terminate()
        assert container.wait() == 0
