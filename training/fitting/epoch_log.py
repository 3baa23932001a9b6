"""`metrics.csv`: one line an epoch, appended as it ends, so that a run that is killed has lost no more than one."""

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from training.errors import InvalidRun

COLUMNS = (
    "epoch",
    "step",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_s",
)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line: the figures of an epoch (counted from 1), its duration with validation, and its training speed."""

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    images_per_s: float


def read(path: Path) -> list[Epoch]:
    """Return the epochs of a run, in order, an epoch that was done again once; raises `InvalidRun`."""
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        rows = {
            int(line["epoch"]): Epoch(
                int(line["epoch"]), int(line["step"]), *(float(line[name]) for name in COLUMNS[2:])
            )
            for line in lines
            if None not in line.values()  # the line that a killed run was writing
        }
    except FileNotFoundError as error:
        raise InvalidRun(f"{path}: no such file") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InvalidRun(f"{path}: not the metrics of a run") from error
    return [rows[number] for number in sorted(rows)]


class EpochLog(Callback):
    """Appends a line for each epoch; only the first of several processes writes."""

    def __init__(self, path: Path, images: int) -> None:
        self._path, self._images = path, images
        self._began = self._trained = 0.0  # when this epoch began; how long its training took
        self._before = 0.0  # seconds that were spent on this epoch before it was interrupted

    def state_dict(self) -> dict[str, float]:
        """Return the time that an epoch has taken so far, for a checkpoint in the middle of it."""
        return {"seconds": time.perf_counter() - self._began if self._began else 0.0}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take over the time that an interrupted epoch took."""
        self._before = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time of a run that goes on in the middle of an epoch, too."""
        self._began, self._trained = time.perf_counter() - self._before, 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self._began, self._trained = time.perf_counter(), 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time that training alone took."""
        self._trained = time.perf_counter() - self._began

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append the line of the epoch that ends here."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not trainer.is_global_zero or not self._began or "train_loss" not in figures:
            return  # an epoch whose end was saved and that is only closed now
        seconds = time.perf_counter() - self._began
        line = Epoch(
            epoch=trainer.current_epoch + 1,
            step=trainer.global_step,
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            seconds=round(seconds, 3),
            images_per_s=round(self._images / self._trained, 1) if self._trained else 0.0,
            **{name: round(figures[name], 6) for name in COLUMNS[2:6]},
        )
        self._append([str(getattr(line, name)) for name in COLUMNS])
        self._began = 0.0

    def _append(self, values: list[str]) -> None:
        fresh = not self._path.exists()
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(COLUMNS)
            writer.writerow(values)
