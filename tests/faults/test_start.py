"""F46 and F47: what must not be served, and places where nothing can be."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from models.store import MANIFEST
from tests.e2e.server import require, serving, start
from tests.factories import REPOSITORY, shipped_digit
from tests.faults.site import settled
from tests.stores import reserialised

pytestmark = pytest.mark.e2e
STARTS_S = 20
STARTS_CPU_S = 5  # alone on a core it would take no longer


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


def describe_others(model: object) -> None:
    (entry,) = model.metadata_props  # type: ignore[attr-defined]
    spec = json.loads(entry.value)
    entry.value = json.dumps({**spec, "labels": spec["labels"][:-1]})


def make_huge(folder: Path) -> None:
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(10 * 2**30)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["model.onnx"]["bytes"] = 10 * 2**30
    (folder / MANIFEST).write_text(json.dumps(manifest))


def link_away(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/etc/passwd")


def change_one_byte(root: Path) -> None:
    shipped(lambda _: None)(root)
    path = root / "lenet" / "1" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


UNSERVABLE = {
    "missing": (shipped(lambda folder: (folder / "model.onnx").unlink()), "model.onnx: No such file"),
    "empty": (shipped(lambda folder: (folder / "model.onnx").write_bytes(b"")), "model.onnx: not a loadable ONNX file"),
    "garbage": (
        shipped(lambda folder: (folder / "model.onnx").write_bytes(b"garbage" * 1_000)),
        "model.onnx: not a loadable ONNX file",
    ),
    "opset": (rewritten(set_opset), "model.onnx: not a loadable ONNX file"),
    "external data": (rewritten(keep_data_elsewhere), "model.onnx: keeps data in another file"),
    "no spec": (rewritten(lambda model: model.ClearField("metadata_props")), "model.onnx: no spec in"),  # type: ignore[attr-defined]
    "a spec of another model": (rewritten(describe_others), "10 classes for 9 labels"),
    "cut short": (
        shipped(lambda folder: os.truncate(folder / "model.onnx", 100_000)),
        "model.onnx: not a loadable ONNX file",
    ),
    "another digest": (change_one_byte, "model.onnx: SHA-256 differs"),
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
        before_s = ended_cpu_s()
        assert server.process.wait(60) != 0, name
        assert ended_cpu_s() - before_s < STARTS_CPU_S, name
        lines = server.log.read_text().strip().splitlines()
        assert len(lines) == 1, (name, lines)
        assert UNSERVABLE[name][1] in lines[0], name


def ended_cpu_s() -> float:
    """Processor time of all processes that this one has started and seen end, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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


POWERLESS = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def unprivileged() -> tuple[tuple[str, ...], int]:
    """What makes a command one of a user without rights, and that user.

    One who owns nothing; where he cannot read the interpreter, root without a single capability.
    """
    drop = (require("setpriv"), "--reuid=10001", "--regid=10001", "--clear-groups", *POWERLESS)
    reads = subprocess.run([*drop, "sh", "-c", f"exec {sys.executable} -c ''"], check=False, capture_output=True)
    return ((drop[0], *POWERLESS), 0) if reads.returncode else (drop, 10001)


def test_f47_nowhere_to_write_and_no_rights(tmp_path: Path) -> None:
    """Where all is read-only, with a tmpfs of 256 MB, as a user without rights, it serves."""
    if os.geteuid() != 0:
        pytest.skip("only root makes file systems read-only")
    drop, user = unprivileged()
    with tempfile.TemporaryDirectory() as scratch:  # not all of /tmp: what runs here may lie there
        own = f"$({require('findmnt')} -n -o TARGET --target {tmp_path})"  # /tmp may be a file system of its own
        script = (
            f"set -e; for mount in / {own}; do mount -o remount,bind,ro $mount; done; "
            f"mount -t tmpfs -o size=256m,mode=1777 tmpfs {scratch}; "
            f"for file in /x {tmp_path}/x; do if touch $file 2>/dev/null; then exit 9; fi; done; "
            f'export TMPDIR={scratch} BENTOML_HOME={scratch}/bentoml; exec "$0" "$@"'
        )
        under = (require("unshare"), "--mount", "bash", "-c", script, *drop)
        serves_without_a_place_to_write(tmp_path, under, user)


def serves_without_a_place_to_write(tmp_path: Path, under: tuple[str, ...], user: int) -> None:
    """A worker of that user, who may do nothing, answers."""
    with serving(tmp_path, under=under) as server:
        (worker,) = server.workers()
        status = Path(f"/proc/{worker}/status").read_text()
        assert f"Uid:\t{user}\t{user}\t{user}\t{user}" in status
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert not list(tmp_path.glob("state*"))
        data, class_id = shipped_digit()
        with server.client() as client:
            answer = client.post("/v1/classify", content=data)
        assert answer.json()["predictions"][0]["class_id"] == class_id


def listening(pid: int) -> set[int]:
    """The TCP ports that a process listens on (proc_pid_net(5): state 0A, local address in hexadecimal)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()))
    rows = [
        line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()
    ]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_nobody_on_loopback_can_give_the_arbiter_orders(tmp_path: Path) -> None:
    """Its control sockets would take any command: they lie in a folder that is its user's alone, and go with it."""
    with (
        tempfile.TemporaryDirectory() as temporary,  # paths of sockets must be short
        serving(tmp_path, under=("env", f"TMPDIR={temporary}")) as server,
    ):
        assert listening(server.process.pid) == {server.port}
        (folder,) = Path(temporary).glob("convserve-control-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "control").is_socket()
        assert (folder / "events").is_socket()
        assert server.stop() == 0
        assert not folder.exists()


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
