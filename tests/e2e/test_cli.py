"""`python -m service` as a user runs it, against a real server."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, free_port, serving
from tests.factories import shipped_digit
from tests.stores import make_store

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that serve two versions of a model whose favourite class is the version's number."""
    folder = tmp_path_factory.mktemp("cli")
    store = make_store(folder / "store", versions=2)
    with serving(folder, workers=2, model_store=store) as started:
        yield started


def command(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m service`."""
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pictures(folder: Path, count: int) -> Path:
    """A folder of so many digits."""
    folder.mkdir()
    for i in range(count):
        (folder / f"{i:04}.png").write_bytes(shipped_digit(i % 16)[0])
    return folder


def test_a_file_is_classified_on_the_terminal(server: Server) -> None:
    """One line, the probability after the label."""
    done = command("classify", ROOT / "docs" / "samples" / "7.png", "--url", server.url, "--top-k", 2)

    assert done.returncode == 0, done.stderr
    name, *predictions = done.stdout.strip().split("\t")
    assert name.endswith("7.png")
    assert len(predictions) == 2
    assert predictions[0].split()[0] == "2"
    assert "1 classified, 0 refused" in done.stderr
    unsure = command("classify", ROOT / "docs" / "samples" / "7.png", "--url", server.url, "--threshold", 1)
    assert unsure.stdout.strip().endswith("abstained")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_run_that_was_killed_is_gone_on_with(server: Server, tmp_path: Path, suffix: str) -> None:
    """SIGKILL in the middle: the same command again loses nothing and does nothing twice."""
    folder, output = pictures(tmp_path / "scans", 500), tmp_path / f"results{suffix}"
    arguments = ["classify", str(folder), "--output", str(output), "--url", server.url, "--connections", "4"]
    process = subprocess.Popen([sys.executable, "-m", "service", *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_bytes().count(b"\n") < 60:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = output.read_bytes()

    done = command(*arguments)

    assert done.returncode == 0, done.stderr
    content = output.read_bytes()
    assert content.startswith(before[: before.rindex(b"\n") + 1])
    names = [str(path) for path in sorted(folder.iterdir())]
    if suffix == ".csv":
        rows = list(csv.DictReader(content.decode().splitlines()))
        assert sorted(row["file"] for row in rows) == names
        assert {row["label_1"] for row in rows} == {"2"}
    else:
        lines = [json.loads(line) for line in content.splitlines()]
        assert sorted(line["file"] for line in lines) == names
        assert {line["predictions"][0]["label"] for line in lines} == {"2"}
    assert "were done before" in done.stderr
    assert command(*arguments).stderr.startswith("0 classified, 0 refused, 500 were done before")


def test_a_bad_image_is_a_row_and_the_exit_status(server: Server, tmp_path: Path) -> None:
    """Its neighbours are classified."""
    folder, output = pictures(tmp_path / "scans", 3), tmp_path / "results.jsonl"
    (folder / "0001.png").write_bytes(b"no image")

    done = command("classify", folder, "--output", output, "--url", server.url)

    assert done.returncode == 1
    assert "2 classified, 1 refused" in done.stderr
    by_name = {Path(line["file"]).name: line for line in map(json.loads, output.read_text().splitlines())}
    assert by_name["0001.png"]["code"] == "unidentified"
    assert by_name["0002.png"]["predictions"][0]["label"] == "2"


def test_what_cannot_work_is_one_line(server: Server, tmp_path: Path) -> None:
    """No service, no model, no file; nothing is written as if it were the images' fault."""
    picture, output = ROOT / "docs" / "samples" / "7.png", tmp_path / "results.jsonl"
    for arguments, says in (
        (["classify", picture, "--url", server.url, "--model", "vgg", "--output", output], "404: no model 'vgg'"),
        (["classify", tmp_path / "nowhere", "--url", server.url], "nowhere: no such file or folder"),
        (["models", "--url", f"http://127.0.0.1:{free_port()}"], "no answer"),
        (["promote", "lenet", 9, "--url", server.url], "409:"),
    ):
        done = command(*arguments)
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert output.read_text() == ""


def test_versions_are_promoted_and_rolled_back(server: Server) -> None:
    """On both workers when the command returns; the address may come from the environment."""
    environ = {"CONVSERVE_URL": server.url}
    picture = ROOT / "docs" / "samples" / "7.png"

    def favourites() -> set[str]:
        with_own_connection = [command("classify", picture, **environ).stdout.split()[1] for _ in range(4)]
        return set(with_own_connection)

    assert favourites() == {"2"}
    promoted = command("promote", "lenet", 1, **environ)
    assert "version 1 is active on every worker; rollback goes to version 2" in promoted.stdout, promoted.stderr
    assert favourites() == {"1"}
    assert "active" in command("models", **environ).stdout
    assert "version 2 is active" in command("rollback", "lenet", **environ).stdout
    assert favourites() == {"2"}


def test_the_doctor_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    """With what and what to do; two builds of ONNX Runtime are found where Python finds them."""
    builds = tmp_path / "builds"
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = builds / f"{name}-1.30.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.30.0\n")

    sound = command("doctor")
    ill = command(
        "doctor", PYTHONPATH=f"{ROOT}{os.pathsep}{builds}", CONVSERVE_MODLE_STORE="x", CONVSERVE_METRICS_DIR="/proc/no"
    )

    assert (sound.returncode, sound.stdout.count("✗")) == (0, 0), sound.stdout
    assert ill.returncode == 1
    assert "CONVSERVE_MODLE_STORE: there is no such setting" in ill.stdout
    assert "onnxruntime and onnxruntime-gpu are both installed" in ill.stdout
    assert ill.stdout.count("→") == ill.stdout.count("✗") == 2  # with unusable settings, defaults are examined
