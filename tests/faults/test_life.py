"""F46 and F48 to F51: bad versions, starts, drains, kills and reloads, under load where it matters."""

import json
import os
import shutil
import signal
import time
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from models.store import MANIFEST
from tests.e2e.server import serving, start
from tests.factories import shipped_digit
from tests.faults.site import MIB, Site, samples, settled, site
from tests.faults.site import make_store as make_probed_store
from tests.faults.traffic import Traffic
from tests.stores import make_store, put_version

pytestmark = pytest.mark.e2e
DIGIT, _ = shipped_digit()
STARTS_S = 20
LAST = 11  # version, so that there are ten changes
SERIES, SERIES_OF_A_VERSION = 2_000, 250


def test_f46_a_bad_version_beside_a_good_one(tmp_path: Path) -> None:
    """The new version is refused and counted, the old one serves on."""
    with site(tmp_path) as held, held.fault(grows_bytes=48 * MIB), Traffic(held.server)() as traffic:
        traffic.went_on()
        good = tmp_path / "store" / "lenet" / "1"
        file = (good / "model.onnx").read_bytes()
        contents = (b"garbage", b"", file[:-1_000], file[:-1] + b"!")
        for version, content in enumerate(contents, 2):
            bad = tmp_path / "bad"
            shutil.copytree(good, bad)
            manifest = json.loads((bad / MANIFEST).read_text())
            manifest["version"] = version
            if version <= len(contents):  # the last one is not what its manifest says
                manifest["files"]["model.onnx"] |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
            (bad / MANIFEST).write_text(json.dumps(manifest))
            (bad / "model.onnx").write_bytes(content)
            bad.rename(good.with_name(str(version)))
            settled(lambda: loads(held, "lenet", "rejected"), float(version - 1))
            assert held.client.get("/readyz").status_code == 200
        traffic.went_on()
        assert loads(held, "lenet", "rejected") == len(contents)  # each was tried once
    assert set(traffic.statuses) == {200}
    assert traffic.failures == []
    assert {answer["model"]["version"] for answer in traffic.answers} == {1}  # type: ignore[index]


def loads(held: Site, model: str, outcome: str) -> float:
    """Versions of a model whose loading ended so."""
    return held.metrics().get(f'classifier_model_loads_total{{model="{model}",outcome="{outcome}"}}', 0.0)


def test_f48_before_it_is_ready(tmp_path: Path) -> None:
    """Alive, not ready, and it says why, for as long as a model takes to prove itself; then it is, and answers."""
    store = make_probed_store(tmp_path, golden_turns=60)
    server = start(tmp_path, drain_delay_s=0, model_store=store, default_model="lenet", threads=2)
    before = set()
    try:
        deadline = time.monotonic() + STARTS_S
        with server.client() as client:
            while time.monotonic() < deadline:
                try:
                    ready = client.get("/readyz")
                except httpx2.TransportError:
                    time.sleep(0.002)
                    continue
                assert client.get("/livez").status_code == 200
                if ready.status_code == 200:
                    break
                before.add((ready.status_code, ready.json()["code"]))
                assert "retry-after" in ready.headers
                shown = samples(client.get("/metrics").text)["classifier_ready"]
                assert shown == 0 or client.get("/readyz").status_code == 200  # it has become so in between
            assert before == {(503, "not_ready")}
            assert samples(client.get("/metrics").text)["classifier_ready"] == 1
        ready_at_last = Site(server)
        with (
            ready_at_last.client,
            ready_at_last.fault(grows_bytes=24 * MIB),
        ):  # the first answer is as right as the next
            ready_at_last.require_right_answer()
    finally:
        server.stop()


def test_f49_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    """Not ready at once; kept and new connections are served through the delay; exit status 0."""
    with serving(tmp_path, drain_delay_s=4) as server:
        with Traffic(server)() as traffic, server.client() as client:
            traffic.went_on()
            (worker,) = server.workers()
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            settled(lambda: client.get("/readyz").status_code, 503)
            assert time.monotonic() - told < 1
            with server.client() as newcomer:  # connections are taken as before, each for one more answer
                answer = newcomer.post("/v1/classify", content=DIGIT)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            assert client.get("/livez").status_code == 200
            traffic.went_on()
        assert server.process.wait(20) == 0
        assert not Path(f"/proc/{worker}").exists()
    assert traffic.failures == []
    assert set(traffic.statuses) == {200}


def test_f50_a_killed_worker_comes_back(tmp_path: Path) -> None:
    """Within the arbiter's ten seconds and a start; the other serves on, and no zombie stays."""
    with serving(tmp_path, workers=2) as server:
        with Traffic(server, kept=0, new=3)() as traffic:
            traffic.went_on()
            workers = server.workers()
            killed = workers[0]
            os.kill(killed, signal.SIGKILL)
            deadline = time.monotonic() + 15
            while killed in server.workers() or len(server.workers()) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            traffic.went_on()
            (other,) = {*server.workers()} - {*workers}
        assert not Path(f"/proc/{killed}").exists()
        settled(lambda: f'"pid": {other}, "message": "lenet version 1' in server.log.read_text(), True)
    assert len(traffic.failures) <= 3  # those that were on it
    assert set(traffic.statuses) == {200}


def test_f50_who_insists_is_obeyed(tmp_path: Path) -> None:
    """Neither SIGINT nor a second SIGTERM to a worker waits for the drain delay; the arbiter asks once."""
    with serving(tmp_path, drain_delay_s=60) as server:
        (worker,) = server.workers()
        os.kill(worker, signal.SIGINT)
        settled(lambda: worker in server.workers(), False)
        deadline = time.monotonic() + 25
        while not server.workers():  # another takes its place
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.wait_ready()
        (worker,) = server.workers()
        server.process.send_signal(signal.SIGTERM)
        with server.client() as client:
            settled(lambda: client.get("/readyz").status_code, 503)
            server.process.send_signal(signal.SIGTERM)  # to the arbiter, which has heard
            for _ in range(20):
                assert client.post("/v1/classify", content=DIGIT).status_code == 200
            assert server.process.poll() is None
        os.kill(worker, signal.SIGTERM)
        assert server.process.wait(15) == 0


def test_f51_ten_versions_under_load(tmp_path: Path) -> None:
    """None fails, and every answer is wholly of the version that it names."""
    store = make_store(tmp_path / "store")
    with serving(tmp_path, model_store=store) as server, server.client() as client, Traffic(server)() as traffic:
        traffic.went_on()
        one = len(samples(client.get("/metrics").text))
        assert one < SERIES
        for version in range(2, LAST + 1):
            assert put_version(store, favourite=version % 10) == version

            def active() -> object:
                return client.post("/v1/classify", content=DIGIT).json()["model"]["version"]

            settled(active, version)
        traffic.went_on()
        found = samples(client.get("/metrics").text)
        loaded = {name: value for name, value in found.items() if name.startswith("classifier_model_loads_total")}
        assert loaded == {'classifier_model_loads_total{model="lenet",outcome="loaded"}': LAST}
        assert len(found) - one <= (LAST - 1) * SERIES_OF_A_VERSION
    assert traffic.failures == []
    assert set(traffic.statuses) == {200}
    seen = {
        (answer["model"]["version"], answer["predictions"][0]["class_id"])  # type: ignore[index]
        for answer in traffic.answers
    }
    assert {version for version, _ in seen} == set(range(1, LAST + 1))
    assert all(class_id == version % 10 for version, class_id in seen)


def test_the_site_itself_is_quick_to_tell(tmp_path: Path) -> None:
    """A worker that answers wrongly fails the harness: the suite can fail."""
    with serving(tmp_path, model_store=make_store(tmp_path / "store")) as server:
        site = Site(server)
        with site.client, pytest.raises(AssertionError):
            site.require_right_answer()  # this store's model says 1 to everything
