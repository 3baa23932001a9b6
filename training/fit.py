"""Training: a net and a data set in, a run folder with `best` and `last` checkpoints out.

`best` is chosen on the validation split; the test split is not looked at here. The loop is Lightning's.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from training import augment, data, network, provenance
from training.checkpoint import Blueprint
from training.config import FitConfig
from training.errors import TrainingError
from training.quiet import quiet

Batch = tuple[Tensor, Tensor]  # uint8 images (N, H, W, C), class_ids (N,)


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, its checkpoints, and the validation accuracy of `best`."""

    folder: Path
    best: Path
    last: Path
    validation_top1: float


class Classifier(LightningModule):
    """A network with what its training needs: loss, figures, optimiser. Its hyperparameters are the blueprint."""

    def __init__(self, blueprint: Blueprint, config: FitConfig) -> None:
        super().__init__()
        self.save_hyperparameters(blueprint.model_dump(mode="json"))
        self.network = blueprint.network()
        self.val_accuracy = MulticlassAccuracy(len(blueprint.labels), average="micro")
        self._config = config

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of one batch."""
        images, class_ids = batch
        logits, _ = self.network(images)
        loss = functional.cross_entropy(logits, class_ids)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count one batch into the validation figures."""
        images, class_ids = batch
        logits, _ = self.network(images)
        self.val_accuracy(logits, class_ids)
        self.log("val_loss", functional.cross_entropy(logits, class_ids))
        self.log("val_accuracy", self.val_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW under a one-cycle schedule, stepped with every batch."""
        rate = self._config.learning_rate
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=self._config.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class BestCheckpoint(ModelCheckpoint):
    """Keeps the epoch with the highest validation accuracy, of equals the last: its weights have settled most."""

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Say whether *current* is worth keeping; on a small split accuracies tie often."""
        tied = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return tied or super().check_monitor_top_k(trainer, current)


def fit(config: FitConfig, runs: Path) -> Run:
    """Train, into a new run folder `<runs>/<net>-<dataset>-<number>`.

    Raises `UnknownName` for a net or a data set that there is none of, `InvalidData` for data that nothing can be
    learned from.
    """
    dataset = data.load(config.dataset)
    seed_everything(config.seed, workers=True, verbose=False)
    blueprint = Blueprint(
        net=config.net,
        options=config.options,
        dataset=dataset.name,
        labels=dataset.labels,
        geometry=dataset.geometry,
        normalisation=network.measure(data.batches(dataset.train.files, dataset.geometry, batch_size=64)),
        seed=config.seed,
        git_commit=provenance.git_commit(),
        libraries=provenance.library_versions(),
    )
    classifier = Classifier(blueprint, config)
    folder = _new_folder(runs, f"{config.net}-{config.dataset}")
    _write_config(folder / "config.json", config, blueprint)
    best = BestCheckpoint(folder / "checkpoints", filename="best", monitor="val_accuracy", mode="max", save_last=True)
    with quiet():
        _trainer(config, best).fit(classifier, _train_loader(dataset, config), _validation_loader(dataset))
    if best.best_model_score is None:
        raise TrainingError(f"{folder}: the run ended before its first validation")
    return Run(folder, Path(best.best_model_path), Path(best.last_model_path), float(best.best_model_score))


def _trainer(config: FitConfig, best: ModelCheckpoint) -> Trainer:
    bar = RichProgressBar(theme=RichProgressBarTheme(metrics_format=".4f"))
    return Trainer(
        max_epochs=config.epochs,
        callbacks=[best, bar],
        deterministic="warn",
        logger=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _train_loader(dataset: data.Dataset, config: FitConfig) -> DataLoader[tuple[Tensor, int]]:
    vary = partial(
        augment.jitter,
        geometry=dataset.geometry,
        shift=config.shift,
        zoom=config.zoom,
        rotate_deg=config.rotate_deg,
    )
    return DataLoader(data.Images(dataset.train, dataset.geometry, vary), config.batch_size, shuffle=True)


def _validation_loader(dataset: data.Dataset) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(data.Images(dataset.validation, dataset.geometry), batch_size=256)


def _new_folder(runs: Path, name: str) -> Path:
    """Make the folder with the next number; two runs that start at once get one each."""
    number = 1
    while True:
        folder = runs / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _write_config(path: Path, config: FitConfig, blueprint: Blueprint) -> None:
    content = {"config": asdict(config), "blueprint": blueprint.model_dump(mode="json")}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
