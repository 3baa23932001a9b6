"""F46 to F51: models that must not be served, starts, drains, kills and reloads, under load where it matters."""

import hashlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from models.store import MANIFEST
from tests.e2e.server import Server, require, serving, start
from tests.factories import REPOSITORY, shipped_digit
from tests.faults.site import Site, samples, settled
from tests.stores import make_store, put_version, reserialised

pytestmark = pytest.mark.e2e
DIGIT, CLASS_ID = shipped_digit()
STARTS_S = 20


class Traffic:
    """Clients that send all the time, on kept connections and on new ones, and what came of it."""

    def __init__(self, server: Server, kept: int = 2, new: int = 2) -> None:
        self.statuses: list[int] = []
        self.answers: list[dict[str, object]] = []
        self.failures: list[str] = []
        self._away = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._keep) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._renew) for _ in range(new)]

    @contextmanager
    def __call__(self) -> Iterator["Traffic"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._away.set()
            for thread in self._threads:
                thread.join()

    def _keep(self) -> None:
        with self._server.client() as client:
            while not self._away.is_set():
                self._send(client)

    def _renew(self) -> None:
        while not self._away.is_set():
            with self._server.client() as client:
                self._send(client)

    def _send(self, client: httpx2.Client) -> None:
        try:
            answer = client.post("/v1/classify", content=DIGIT)
        except httpx2.TransportError as error:
            self.failures.append(repr(error))
            time.sleep(0.05)
        else:
            self.statuses.append(answer.status_code)
            self.answers.append(answer.json())

    def went_on(self, requests: int = 50) -> None:
        """Wait until so many more were answered."""
        enough = len(self.statuses) + requests
        settled(lambda: len(self.statuses) >= enough, True)


def shipped(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """The shipped store with something done to its version, and a manifest that agrees with it."""

    def make(root: Path) -> None:
        shutil.copytree(REPOSITORY, root, dirs_exist_ok=True)
        folder = root / "lenet" / "1"
        change(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, file in manifest["files"].items():
            if (folder / name).is_file() and (folder / name).stat().st_size < 2**30:
                data = (folder / name).read_bytes()
                file.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return make


def rewritten(change: Callable[[object], None]) -> Callable[[Path], None]:
    """The model file with its protobuf changed."""

    def make(folder: Path) -> None:
        path = folder / "model.onnx"
        path.write_bytes(reserialised(path.read_bytes(), change))

    return shipped(make)


def keep_data_elsewhere(model: object) -> None:
    tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))  # type: ignore[attr-defined]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "100")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def set_opset(model: object) -> None:
    model.opset_import[0].version = 9_999  # type: ignore[attr-defined]


def make_huge(folder: Path) -> None:
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(10 * 2**30)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["model.onnx"]["bytes"] = 10 * 2**30
    (folder / MANIFEST).write_text(json.dumps(manifest))


def link_away(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/etc/passwd")


UNSERVABLE = {
    "missing": (shipped(lambda folder: (folder / "model.onnx").unlink()), "model.onnx: No such file"),
    "empty": (shipped(lambda folder: (folder / "model.onnx").write_bytes(b"")), "model.onnx: not a loadable ONNX file"),
    "garbage": (
        shipped(lambda folder: (folder / "model.onnx").write_bytes(b"garbage" * 1_000)),
        "model.onnx: not a loadable ONNX file",
    ),
    "opset": (rewritten(set_opset), "model.onnx: not a loadable ONNX file"),
    "external data": (rewritten(keep_data_elsewhere), "model.onnx: keeps data in another file"),
    "huge": (shipped(make_huge), "manifest.json"),
    "a link to something else": (shipped(link_away), "model.onnx: not a loadable ONNX file"),
    "no manifest": (shipped(lambda folder: (folder / "golden.npz").write_bytes(b"no archive")), "golden.npz: not a"),
}


def test_f46_what_must_not_be_served_ends_the_start(tmp_path: Path) -> None:
    """Soon, with one line that names file and reason, and never ready; all of them at once, to save time."""
    servers = {}
    for name, (make, _) in UNSERVABLE.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "store")
        servers[name] = start(folder, model_store=folder / "store")

    for name, server in servers.items():
        assert server.process.wait(60) != 0, name
        lines = server.log.read_text().strip().splitlines()
        assert len(lines) == 1, (name, lines)
        assert UNSERVABLE[name][1] in lines[0], name


def test_f46_a_bad_version_beside_a_good_one(tmp_path: Path) -> None:
    """The new version is refused and counted, the old one serves on."""
    store = make_store(tmp_path / "store")
    with serving(tmp_path, model_store=store) as server, server.client() as client, Traffic(server)() as traffic:
        traffic.went_on()
        bad = tmp_path / "bad"
        shutil.copytree(store / "lenet" / "1", bad)
        manifest = json.loads((bad / MANIFEST).read_text())
        manifest["version"] = 2
        (bad / MANIFEST).write_text(json.dumps(manifest))
        (bad / "model.onnx").write_bytes(b"garbage")
        bad.rename(store / "lenet" / "2")

        def refused() -> float:
            found = samples(client.get("/metrics").text)
            return sum(n for name, n in found.items() if "model_loads" in name and 'outcome="rejected"' in name)

        settled(lambda: refused() >= 1, True)
        traffic.went_on()
    assert set(traffic.statuses) == {200}
    assert traffic.failures == []
    assert {answer["model"]["version"] for answer in traffic.answers} == {1}  # type: ignore[index]


def test_f47_a_port_that_is_taken(tmp_path: Path) -> None:
    """Not zero, with a line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(tmp_path, port=taken.getsockname()[1])
        try:
            status = server.process.wait(STARTS_S)
        finally:
            server.stop()
    assert status != 0
    assert str(server.port) in server.log.read_text()


def test_f47_no_network(tmp_path: Path) -> None:
    """In a network of nothing but itself it starts, and asks nobody for anything."""
    if os.geteuid() != 0:
        pytest.skip("only root makes networks")
    server = start(tmp_path, under=(require("unshare"), "--net"), drain_delay_s=0)
    try:
        settled(lambda: "lenet version 1 (fp32) on cpu" in server.log.read_text(), True)
    finally:
        assert server.stop() == 0, server.log.read_text()


@pytest.mark.parametrize("setting", ["metrics_dir", "state_dir"])
def test_f47_a_folder_that_cannot_be_written(tmp_path: Path, setting: str) -> None:
    """Not zero, with one line that names the setting or the folder."""
    file = tmp_path / "file"
    file.write_text("in the way")
    server = start(tmp_path, **{setting: file / "folder"})
    try:
        status = server.process.wait(STARTS_S)
    finally:
        server.stop()
    lines = server.log.read_text().strip().splitlines()
    assert status != 0
    assert len(lines) == 1, lines
    assert str(file / "folder") in lines[0]


def test_f48_before_it_is_ready(tmp_path: Path) -> None:
    """Alive, not ready, and it says why; then it is, and the first answer is as quick as the next."""
    server = start(tmp_path, drain_delay_s=0)
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
                assert samples(client.get("/metrics").text)["classifier_ready"] == 0
            assert before <= {(503, "not_ready")}
            answer = client.post("/v1/classify", content=DIGIT)
            assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
            assert samples(client.get("/metrics").text)["classifier_ready"] == 1
    finally:
        server.stop()


def test_f49_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    """Not ready at once; kept and new connections are served through the delay; exit status 0."""
    with serving(tmp_path, drain_delay_s=2) as server:
        with Traffic(server)() as traffic, server.client() as client:
            traffic.went_on()
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            settled(lambda: client.get("/readyz").status_code, 503)
            assert time.monotonic() - told < 1
            traffic.went_on()
        assert server.process.wait(20) == 0
    assert traffic.failures == []
    assert set(traffic.statuses) == {200}


def test_f50_a_killed_worker_comes_back(tmp_path: Path) -> None:
    """Within the arbiter's ten seconds and a start; the other serves on, and no zombie stays."""
    with serving(tmp_path, workers=2) as server:
        with Traffic(server, kept=0, new=3)() as traffic:
            traffic.went_on()
            killed = server.workers()[0]
            os.kill(killed, signal.SIGKILL)
            deadline = time.monotonic() + 25
            while killed in server.workers() or len(server.workers()) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            traffic.went_on()
        assert not Path(f"/proc/{killed}").exists()
    assert len(traffic.failures) <= 3  # those that were on it
    assert set(traffic.statuses) == {200}


def test_f50_who_insists_is_obeyed(tmp_path: Path) -> None:
    """Neither SIGINT nor a second SIGTERM to a worker waits for the drain delay."""
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
        os.kill(worker, signal.SIGTERM)
        assert server.process.wait(15) == 0


def test_f51_ten_versions_under_load(tmp_path: Path) -> None:
    """None fails, and every answer is wholly of the version that it names."""
    store = make_store(tmp_path / "store")
    with serving(tmp_path, model_store=store) as server, server.client() as client, Traffic(server)() as traffic:
        traffic.went_on()
        for version in range(2, 11):
            assert put_version(store, favourite=version % 10) == version

            def active() -> object:
                return client.post("/v1/classify", content=DIGIT).json()["model"]["version"]

            settled(active, version)
        traffic.went_on()
    assert traffic.failures == []
    assert set(traffic.statuses) == {200}
    seen = {
        (answer["model"]["version"], answer["predictions"][0]["class_id"])  # type: ignore[index]
        for answer in traffic.answers
    }
    assert {version for version, _ in seen} == set(range(1, 11))
    assert all(class_id == version % 10 for version, class_id in seen)


def test_the_site_itself_is_quick_to_tell(tmp_path: Path) -> None:
    """A worker that answers wrongly fails the harness: the suite can fail."""
    with serving(tmp_path, model_store=make_store(tmp_path / "store")) as server:
        site = Site(server)
        with site.client, pytest.raises(AssertionError):
            site.require_right_answer()  # this store's model says 1 to everything
