"""What watches a run: keeps the best and the last checkpoint, seeds each epoch, stops when it is asked to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from training.errors import Interrupted
from training.fitting.folder import RunFolder


class BestCheckpoint(ModelCheckpoint):
    """Keeps the weights of the epoch with the best validation accuracy, of equals the last: they have settled most."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, filename="best", monitor="val_accuracy", mode="max", save_weights_only=True)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Say whether *current* is worth keeping; on a small split accuracies tie often."""
        tied = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return tied or super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what is the best so far; a run's folder may have been moved meanwhile."""
        path = str(Path(str(self.dirpath), "best.ckpt"))
        scores = list(state_dict["best_k_models"].values())
        super().load_state_dict(
            state_dict
            | {
                "dirpath": self.dirpath,
                "best_model_path": path,
                "kth_best_model_path": path,
                "best_k_models": {path: scores[0]} if scores else {},
            }
        )


class LastCheckpoint(ModelCheckpoint):
    """Keeps everything that the run needs to go on after its last whole epoch."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore nothing: its one file is where the folder is now."""


class SeedEpochs(Callback):
    """Seeds what augmentation and dropout draw from, by seed, epoch and process: an epoch is the same when resumed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed a run that goes on in the middle of an epoch, too."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed all devices."""
        torch.manual_seed((self._seed * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


class Interruption(Callback):
    """Ctrl-C and SIGTERM: after the step in hand, saves and raises `Interrupted`; a second Ctrl-C ends at once."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.signum = 0  # what it was asked by

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over the two signals for the length of a block."""
        before = {signum: signal.signal(signum, self._receive) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Save and stop if it was asked for, between two optimiser steps of one epoch."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        whole_step = progress.current.ready % trainer.accumulate_grad_batches == 0
        if not whole_step or progress.is_last_batch:  # the end of an epoch has a checkpoint of its own
            return
        if self._asked(trainer):
            trainer.save_checkpoint(self._folder.last)
            raise Interrupted(self._folder.path, self.signum)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if it was asked for while the epoch before ended; that one is saved."""
        if self._asked(trainer):
            raise Interrupted(self._folder.path, self.signum)

    def _asked(self, trainer: Trainer) -> bool:
        """Return whether any of the processes was asked: they stop after the same step."""
        if trainer.world_size == 1:
            return self.signum != 0
        asked = bool(trainer.strategy.reduce_boolean_decision(self.signum != 0, all=False))
        self.signum = self.signum or (signal.SIGINT if asked else 0)
        return asked

    def _receive(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum and signum == signal.SIGINT:
            raise Interrupted(self._folder.path, signum)
        self.signum = signum
