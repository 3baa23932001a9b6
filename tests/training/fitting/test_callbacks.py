"""training/fitting/callbacks.py: what is kept, and how a run stops and goes on, in one process."""

import os
import signal
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from training.config import FitConfig
from training.errors import Interrupted
from training.fit import fit
from training.fitting import epoch_log
from training.fitting.callbacks import BestCheckpoint, SeedEpochs
from training.fitting.folder import RunFolder

CONFIG = FitConfig(epochs=3, batch_size=128)
BATCHES = 10  # of an epoch


def interrupt_after(batches: int, monkeypatch: pytest.MonkeyPatch, signum: int = signal.SIGINT) -> None:
    """Have this process send itself a signal as soon as a run has begun its batch number *batches*, from 0."""
    started = 0

    def on_train_batch_start(*_: object) -> None:
        nonlocal started
        if started == batches:
            os.kill(os.getpid(), signum)
        started += 1

    monkeypatch.setattr(SeedEpochs, "on_train_batch_start", on_train_batch_start)


def weights(folder: RunFolder) -> torch.Tensor:
    """All weights of a run's last checkpoint, in a row."""
    state = torch.load(folder.last, weights_only=True)["state_dict"]
    return torch.cat([value.flatten() for value in state.values()])


def interrupted(runs: Path, config: FitConfig = CONFIG) -> Interrupted:
    """Start a run that is interrupted."""
    with pytest.raises(Interrupted) as caught:
        fit(config, runs)
    return caught.value


def test_best_is_the_last_of_equals(tmp_path: Path) -> None:
    """And never a worse one."""
    best = BestCheckpoint(tmp_path)
    best.best_model_score = torch.tensor(0.9)
    best.best_k_models = {"best.ckpt": torch.tensor(0.9)}
    best.kth_best_model_path = "best.ckpt"
    trainer = Trainer(logger=False, enable_checkpointing=False, barebones=True)

    kept = [best.check_monitor_top_k(trainer, torch.tensor(value)) for value in (0.8, 0.9, 0.95)]

    assert kept == [False, True, True]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_is_saved_where_it_was(
    signum: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of its second epoch; it says so, and the handlers of before are back."""
    before = signal.getsignal(signum)
    interrupt_after(BATCHES + 4, monkeypatch, signum)

    stopped = interrupted(tmp_path)

    assert (stopped.signum, stopped.saved, stopped.first) == (signum, True, True)
    folder = RunFolder(stopped.folder)
    content = torch.load(folder.last, weights_only=True)
    assert (content["epoch"], content["global_step"]) == (1, BATCHES + 5)
    assert folder.result() == {"state": "interrupted", "epochs": 1, "steps": BATCHES + 5}
    assert signal.getsignal(signum) is before


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is seen once an epoch; the log and the result are those of one run."""
    interrupt_after(BATCHES + 4, monkeypatch)
    folder = RunFolder(interrupted(tmp_path).folder)
    monkeypatch.undo()

    run = fit(CONFIG, tmp_path, resume=folder)

    assert run.folder == folder.path
    assert [(epoch.epoch, epoch.step) for epoch in epoch_log.read(folder.metrics)] == [(1, 10), (2, 20), (3, 30)]
    assert folder.finished()
    assert [path.name for path in tmp_path.iterdir()] == [folder.path.name]
    assert sorted(path.name for path in folder.last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_run_that_goes_on_after_an_epoch_is_the_one_it_would_have_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, though its folder was moved: order, augmentation, optimiser and schedule are where they were."""
    whole = RunFolder(fit(CONFIG, tmp_path / "whole").folder)
    interrupt_after(BATCHES - 1, monkeypatch)  # in the last batch of the first epoch: it is finished first
    stopped = interrupted(tmp_path / "stopped")
    monkeypatch.undo()
    moved = RunFolder(stopped.folder.rename(tmp_path / "moved"))

    fit(CONFIG, tmp_path, resume=moved)

    torch.testing.assert_close(weights(moved), weights(whole), rtol=0, atol=0)
    assert sorted(path.name for path in moved.last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]
    figures = [[(e.train_loss, e.val_accuracy) for e in epoch_log.read(each.metrics)] for each in (whole, moved)]
    assert figures[0] == figures[1]


def test_a_run_that_is_interrupted_at_its_very_end_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its last batch: there is nothing to go on with, and the signal still stops what would come after it."""
    interrupt_after(CONFIG.epochs * BATCHES - 1, monkeypatch)

    stopped = interrupted(tmp_path)

    folder = RunFolder(stopped.folder)
    assert (stopped.signum, stopped.saved, stopped.first) == (signal.SIGINT, True, True)
    assert stopped.best == folder.best
    assert folder.best.is_file()
    assert folder.finished()


def test_gradients_that_are_being_summed_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that accumulates stops after a whole step."""
    interrupt_after(3, monkeypatch)

    stopped = interrupted(tmp_path, FitConfig(epochs=1, batch_size=128, accumulate=3))

    content = torch.load(RunFolder(stopped.folder).last, weights_only=True)
    assert content["global_step"] == 2  # batches 0 to 5, though it was asked in batch 3


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was saved yet, and that is what the error says."""

    def impatient(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SeedEpochs, "on_train_batch_start", impatient)

    stopped = interrupted(tmp_path)

    assert not stopped.saved
    assert isinstance(stopped, Interrupted)


def test_each_epoch_is_seeded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same epoch of the same seed draws the same numbers; each process draws its own."""
    trainer = Trainer(logger=False, enable_checkpointing=False, barebones=True)

    def draw(seed: int, epoch: int, rank: int) -> float:
        trainer.fit_loop.epoch_progress.current.completed = epoch
        monkeypatch.setattr(Trainer, "global_rank", rank)
        SeedEpochs(seed).on_train_epoch_start(trainer, LightningModule())
        return float(torch.rand(()))

    assert draw(0, 5, 0) == draw(0, 5, 0)
    assert len({draw(0, 5, 0), draw(0, 6, 0), draw(1, 5, 0), draw(0, 5, 1)}) == 4
