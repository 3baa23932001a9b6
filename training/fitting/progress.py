"""What a run shows while it lasts: a bar on a terminal, one line an epoch anywhere else."""

import sys
import time
from dataclasses import dataclass, field

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich.progress import BarColumn, ProgressColumn, TextColumn

from training.fitting.loading import position


@dataclass(slots=True)
class Pace:
    """How fast a run goes: images a second and the time left, by what was done since it was started or resumed."""

    images: int  # of an epoch
    batches: int  # of an epoch
    to_do: int  # batches from now to the run's last
    began: float = field(default_factory=time.perf_counter)
    done: int = 0  # batches

    def images_per_s(self) -> float:
        """Return training images a second, validation included."""
        return self.done * self.images / self.batches / max(1e-9, time.perf_counter() - self.began)

    def left(self) -> str:
        """Return the time left as h:mm:ss or m:ss."""
        if not self.done:
            return "?"
        seconds = round((time.perf_counter() - self.began) / self.done * max(0, self.to_do - self.done))
        hours, minutes = divmod(seconds // 60, 60)
        return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def pace(trainer: Trainer, images: int) -> Pace:
    """Return the pace of a run that begins now, from where it is."""
    batches = int(trainer.num_training_batches)
    epoch, done = position(trainer, batches)
    return Pace(images, batches, ((trainer.max_epochs or 0) - epoch) * batches - done)


class ProgressBar(RichProgressBar):
    """Lightning's bar for the epoch, with loss, accuracy, images a second and the time left for the whole run.

    It fits into 80 columns: what Lightning says of batches a second and of the time left in the epoch is left out.
    """

    def __init__(self, images: int) -> None:
        super().__init__(refresh_rate=10, theme=RichProgressBarTheme(metrics_format=".3f"))
        self._images = images
        self._pace: Pace | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._pace = pace(trainer, self._images)
        super().on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the batch."""
        if self._pace is not None:
            self._pace.done += 1
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)  # type: ignore[arg-type] # passed on

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands at the end of the bar."""
        figures = super().get_metrics(trainer, pl_module)
        metrics: dict[str, int | str | float | dict[str, float]] = {}
        if "loss" in figures:
            metrics["loss"] = figures["loss"]
        # in validation, once there was one; of the last batch before that
        accuracy = figures.get("val_accuracy", figures.get("accuracy"))
        if accuracy is not None:
            metrics["accuracy"] = f"{float(str(accuracy)):.1%}"
        if self._pace is not None:
            metrics |= {"images/s": f"{self._pace.images_per_s():.0f}", "left": self._pace.left()}
        return metrics

    def configure_columns(self, trainer: Trainer) -> list[ProgressColumn]:
        """Return what stands before the figures: the epoch, a bar, its batches."""
        return [TextColumn("{task.description}"), BarColumn(6), TextColumn("{task.completed}/{task.total}")]

    def _get_train_description(self, current_epoch: int) -> str:
        """Count epochs from 1, as the log does."""
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


class EpochLines(Callback):
    """One line an epoch, for logs and pipes."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._pace: Pace | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._pace = pace(trainer, self._images)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the batch."""
        if self._pace is not None:
            self._pace.done += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line."""
        figures = trainer.callback_metrics
        if not trainer.is_global_zero or self._pace is None or "train_loss" not in figures:
            return
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            f"  loss {float(figures['train_loss']):.4f}  accuracy {float(figures['train_accuracy']):.2%}"
            f"  validation {float(figures['val_accuracy']):.2%}"
            f"  {self._pace.images_per_s():.0f} images/s  {self._pace.left()} left",
            flush=True,
        )


def progress(images: int) -> Callback:
    """Return what suits standard output; *images* is the size of the training split."""
    return ProgressBar(images) if sys.stdout.isatty() else EpochLines(images)
