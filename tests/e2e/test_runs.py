"""Runs of real processes that are killed, interrupted and shared."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, free_port
from training import checkpoint, data, evaluate
from training.fitting.folder import RunFolder

pytestmark = pytest.mark.e2e

Record = Callable[[str, object], None]  # of pytest, for the report
COMMAND = [sys.executable, "-m", "training", "fit", "--epochs", "12", "--accelerator", "cpu", "--no-export"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
POINT = 0.01


def start(runs: Path, *options: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start a training run of twelve epochs of LeNet on the digits, each process with one thread."""
    return subprocess.Popen(
        [*COMMAND, "--runs", str(runs), *(str(option) for option in options)],
        cwd=ROOT,
        env=ONE_THREAD | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that ends by itself."""
    output, errors = process.communicate(timeout=240)
    return process.returncode, output, errors


def wait_for_epochs(folder: Path, epochs: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run has logged so many epochs."""
    deadline = time.monotonic() + 240
    path = folder / "metrics.csv"
    while not path.exists() or len(path.read_text().splitlines()) <= epochs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def top1_of(folder: RunFolder) -> float:
    """Accuracy of a run's best checkpoint on the test split."""
    blueprint, network = checkpoint.load(folder.best)
    test = data.load("digits").test
    answers = evaluate.answer(evaluate.of_network(network), test.files, blueprint.geometry)
    return evaluate.quality(answers.probabilities, test.class_ids).top1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nobody disturbed."""
    runs = tmp_path_factory.mktemp("whole")
    code, _, errors = finish(start(runs))
    assert code == 0, errors
    return RunFolder(runs / "lenet-digits-1")


def test_a_killed_run_goes_on_to_the_same_accuracy(whole: RunFolder, tmp_path: Path, record_property: Record) -> None:
    """SIGKILL in mid-run, then `--resume auto`: one folder, each epoch once, test top-1 within a point."""
    process = start(tmp_path)
    wait_for_epochs(tmp_path / "lenet-digits-1", 5, process)
    process.kill()
    assert finish(process)[0] == -signal.SIGKILL
    folder = RunFolder(tmp_path / "lenet-digits-1")
    assert folder.result() is None

    code, output, errors = finish(start(tmp_path, "--resume", "auto"))

    assert (code, errors) == (0, "")
    assert "epoch 1/12" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["lenet-digits-1"]
    assert folder.finished()
    record_property("test top-1 killed and resumed", f"{top1_of(folder):.2%}")
    record_property("undisturbed", f"{top1_of(whole):.2%}")
    assert top1_of(folder) == pytest.approx(top1_of(whole), abs=POINT)
    assert top1_of(whole) > 0.9


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Exit code 130, and the command that it prints is the one that finishes the run."""
    process = start(tmp_path, "--seed", "4")
    wait_for_epochs(tmp_path / "lenet-digits-1", 2, process)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process)

    assert code == 130
    assert "Traceback" not in errors
    (line,) = [line for line in errors.splitlines() if "python -m training" in line]
    words = line.split()
    assert words[:4] == ["python", "-m", "training", "fit"]
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert RunFolder(tmp_path / "lenet-digits-1").finished()


def test_two_processes_reach_what_one_does(whole: RunFolder, tmp_path: Path, record_property: Record) -> None:
    """Over gloo, sharing each batch: one folder, one log, a test top-1 that is at most a point lower."""
    code, output, errors = finish(start(tmp_path, "--devices", "2", "--strategy", "ddp"))

    assert (code, errors) == (0, "")
    assert output.count("epoch 12/12") == 1
    folder = RunFolder(tmp_path / "lenet-digits-1")
    assert [path.name for path in tmp_path.iterdir()] == ["lenet-digits-1"]
    record_property("test top-1 of two processes", f"{top1_of(folder):.2%}")
    record_property("of one", f"{top1_of(whole):.2%}")
    assert json.loads((folder.path / "environment.json").read_text())[0]["processes"] == 2
    assert top1_of(folder) >= top1_of(whole) - POINT


def test_ctrl_c_stops_all_processes(tmp_path: Path) -> None:
    """Though only the first of them is told; what they saved, one process can finish."""
    process = start(tmp_path, "--devices", "2", "--strategy", "ddp")
    wait_for_epochs(tmp_path / "lenet-digits-1", 2, process)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process)

    assert code == 130
    assert "Traceback" not in errors
    assert finish(start(tmp_path, "--resume", tmp_path / "lenet-digits-1"))[0] == 0


def test_two_machines_train_one_network(tmp_path: Path) -> None:
    """As the documents say it, with two processes for machines: only the first one writes."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        start(tmp_path / str(rank), "--num-nodes", "2", "--strategy", "ddp", **address, NODE_RANK=str(rank))
        for rank in (0, 1)
    ]

    (code, _, errors), (other, output, _) = map(finish, processes)

    assert (code, other, errors) == (0, 0, "")
    assert "epoch" not in output
    assert RunFolder(tmp_path / "0" / "lenet-digits-1").finished()
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    """Epoch, loss, accuracy, images a second and the time left, in 80 columns."""
    words = shlex.join([*COMMAND, "--runs", str(tmp_path)])
    done = subprocess.run(
        ["script", "--quiet", "--command", f"stty cols 80; {words}", "/dev/null"],
        cwd=ROOT,
        env=ONE_THREAD,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )

    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", done.stdout)
    assert re.search(r"epoch 12/12 .* 40/40 loss: \d\.\d+ accuracy: \d\d\.\d% images/s: \d+ left: 0:00", plain)
