"""training/fitting/epoch_log.py: metrics.csv."""

from pathlib import Path

import pytest

from training.errors import InvalidRun
from training.fit import Run
from training.fitting import epoch_log

HEAD = ",".join(epoch_log.COLUMNS)


def line(epoch: int, accuracy: float) -> str:
    """A line of the file."""
    return f"{epoch},{epoch * 40},0.5,0.8,0.6,{accuracy},0.01,1.5,800.0"


def test_a_run_logs_each_epoch(run: Run) -> None:
    """Loss, accuracy, rate, time and speed."""
    first, second = epoch_log.read(run.folder / "metrics.csv")

    assert (first.epoch, second.epoch) == (1, 2)
    assert (first.step, second.step) == (40, 80)
    assert first.train_loss > second.train_loss > 0
    assert max(first.val_accuracy, second.val_accuracy) == pytest.approx(run.validation_top1, abs=1e-6)
    assert min(first.seconds, first.images_per_s) > 0


def test_an_epoch_that_was_done_again_counts_once(tmp_path: Path) -> None:
    """As it was the last time; the line that a killed run was writing is not read."""
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join([HEAD, line(1, 0.5), line(2, 0.6), line(2, 0.7), "3,120,0.5"]))

    epochs = epoch_log.read(path)

    assert [(epoch.epoch, epoch.val_accuracy) for epoch in epochs] == [(1, 0.5), (2, 0.7)]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a,b\n1,2\n", f"{HEAD}\nx{line(1, 0.5)}\n".encode()])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    """In one line."""
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)

    with pytest.raises(InvalidRun, match=r"metrics\.csv: not the metrics of a run"):
        epoch_log.read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """Not to be unreadable."""
    with pytest.raises(InvalidRun, match="no such file"):
        epoch_log.read(tmp_path / "metrics.csv")
