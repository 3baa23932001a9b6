"""The module that learns: a network with loss, figures and optimiser. Knows neither files nor folders."""

from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from training.checkpoint import Blueprint
from training.config import FitConfig
from training.fitting import optimise

Batch = tuple[Tensor, Tensor]  # uint8 images (N, H, W, C), class_ids (N,)


class Classifier(LightningModule):
    """A network with what its training of *steps* optimiser steps needs. Its checkpoint carries the blueprint.

    Logs `train_loss`, `train_accuracy`, `val_loss`, `val_accuracy` of each epoch: means over images, whatever the
    sizes of the batches and the number of processes.
    """

    def __init__(self, blueprint: Blueprint, config: FitConfig, steps: int) -> None:
        super().__init__()
        self.save_hyperparameters(blueprint.model_dump(mode="json"), logger=False)
        self.network = blueprint.network()
        count = len(blueprint.labels)
        self.train_accuracy = MulticlassAccuracy(count, average="micro")
        self.val_accuracy = MulticlassAccuracy(count, average="micro")
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self._config, self._steps = config, steps

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of one batch."""
        images, class_ids = batch
        logits, _ = self.network(images)
        loss = functional.cross_entropy(logits, class_ids)
        self.train_loss.update(loss.detach(), len(images))
        self.train_accuracy.update(logits.detach(), class_ids)
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=False)
        right = (logits.detach().argmax(dim=1) == class_ids).float().mean()
        self.log("accuracy", right, prog_bar=True, logger=False, on_step=True, on_epoch=False)
        self.log("train_loss", self.train_loss, on_step=False, on_epoch=True)
        self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count one batch into the validation figures."""
        images, class_ids = batch
        logits, _ = self.network(images)
        self.val_loss.update(functional.cross_entropy(logits, class_ids), len(images))
        self.val_accuracy.update(logits, class_ids)
        self.log("val_loss", self.val_loss, on_step=False, on_epoch=True)
        self.log("val_accuracy", self.val_accuracy, on_step=False, on_epoch=True, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser and schedule by the names in the config."""
        optimizer = optimise.optimizer(self._config, self.network.parameters())
        scheduler: dict[str, Any] = {"scheduler": optimise.schedule(self._config, optimizer, self._steps)}
        if self._config.schedule == "plateau":
            scheduler |= {"interval": "epoch", "monitor": "val_loss"}
        else:
            scheduler |= {"interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}  # type: ignore[return-value] # a dict at run time
