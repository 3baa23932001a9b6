"""training/fit.py."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, overload

import pytest
import torch

from training import checkpoint, data
from training.config import FitConfig, Hardware, Schedule
from training.errors import InvalidOption, UnknownName
from training.fit import Run, fit
from training.fitting.epoch_log import read
from training.fitting.folder import RunFolder


class Forbidden(Sequence[bytes]):
    """Files that must not be read."""

    def __len__(self) -> NoReturn:
        raise AssertionError("the test split was looked at")

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> NoReturn:
        raise AssertionError(f"image {index} of the test split was looked at")


def weights(run: Run) -> torch.Tensor:
    """All weights of a run's last epoch, in a row."""
    return torch.cat([value.flatten() for value in checkpoint.load(run.last)[1].state_dict().values()])


def test_a_run_leaves_its_checkpoints_and_its_config(run: Run) -> None:
    """`best`, `last`, and everything that the run was determined by."""
    assert run.best == run.folder / "checkpoints" / "best.ckpt"
    assert run.last == run.folder / "checkpoints" / "last.ckpt"
    assert 0 < run.validation_top1 <= 1
    content = json.loads((run.folder / "config.json").read_text())
    assert content["config"]["epochs"] == 2
    assert content["config"]["learning_rate"] == FitConfig().learning_rate
    assert content["blueprint"]["geometry"]["interpolation"] == "bicubic"
    measured = {"evaluation"}  # by another test of the same run
    assert {path.name for path in run.folder.iterdir()} - measured == {
        "checkpoints",
        "config.json",
        "environment.json",
        "metrics.csv",
        "result.json",
        "tensorboard",
    }


def test_the_seed_determines_the_weights(run: Run, tmp_path: Path) -> None:
    """The same seed gives the same ones, another seed others; each run has a folder of its own."""
    again, other = fit(FitConfig(epochs=2), tmp_path), fit(FitConfig(epochs=2, seed=1), tmp_path)

    torch.testing.assert_close(weights(again), weights(run), rtol=0, atol=0)
    assert not torch.equal(weights(other), weights(run))
    assert (again.folder.name, other.folder.name) == ("lenet-digits-1", "lenet-digits-2")


def test_the_test_split_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, the choice of `best` and the normalisation do without it."""
    digits = data.load("digits")
    few = replace(digits, train=data.Split(digits.train.files[:64], digits.train.class_ids[:64]))
    unseen = replace(few, test=data.Split(Forbidden(), digits.test.class_ids))
    monkeypatch.setattr(data, "DATASETS", {"digits": lambda *_: unseen})

    assert fit(FitConfig(epochs=1), tmp_path).best.is_file()


@pytest.mark.parametrize("config", [FitConfig(net="lenett"), FitConfig(dataset="digit")])
def test_an_unknown_name_leaves_no_folder(config: FitConfig, tmp_path: Path) -> None:
    """It is refused before anything is written."""
    with pytest.raises(UnknownName):
        fit(config, tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_run_stops_when_validation_gets_no_better(tmp_path: Path) -> None:
    """After the epochs that it was asked to be patient for, with a rate at which nothing is learned."""
    config = FitConfig(epochs=20, patience=2, learning_rate=1e-9, schedule="constant", batch_size=256)

    run = fit(config, tmp_path)

    result = RunFolder(run.folder).result()
    assert result is not None
    assert result["stopped_early"]
    assert result["epochs"] < 20
    assert result["validation_top1"] == run.validation_top1


@pytest.mark.parametrize("schedule", ["cosine", "step", "plateau"])
def test_schedules_by_name_train_too(schedule: Schedule, tmp_path: Path) -> None:
    """Two epochs; the log shows that the rate moved, or, of `plateau`, that it had no reason to."""
    config = FitConfig(epochs=2, schedule=schedule, optimizer="sgd", learning_rate=0.1, accumulate=2)

    run = fit(config, tmp_path)

    first, second = read(run.folder / "metrics.csv")
    assert (first.step, second.step) == (20, 40)  # 40 batches an epoch, two of them a step
    assert (first.learning_rate == second.learning_rate) == (schedule == "plateau")


def test_an_uneven_share_leaves_no_folder(tmp_path: Path) -> None:
    """It is refused before anything is written, and before processes are started."""
    with pytest.raises(InvalidOption, match="cannot be shared by 3 processes"):
        fit(FitConfig(), tmp_path, Hardware(accelerator="cpu", devices="3"))

    assert not list(tmp_path.iterdir())
