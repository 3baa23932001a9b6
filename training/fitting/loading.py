"""Which images make which batch: the order of an epoch depends on the seed and the epoch alone, so that a run that was
interrupted goes on as if it had not been, and several processes share what one would have had.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, Subset

from training import augment, data
from training.config import FitConfig
from training.errors import InvalidOption

VALIDATION_BATCH = 256  # no gradients are kept: larger than in training
Loader = DataLoader[tuple[Tensor, int]]


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """The batches of this process (`rank` of `world`) in an epoch: indices into the training split, each with the seed
    of its image's variation, which is the same whichever worker process prepares it.

    A batch of `batch_size` images is shared by all processes. The last one is filled up from the epoch's beginning
    where it would not go round.
    """

    def __init__(self, count: int, batch_size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        require_even_share(batch_size, world)
        self._count, self._batch_size, self._seed, self._rank, self._world = count, batch_size, seed, rank, world
        self._epoch, self._skip = 0, 0
        self.generator = torch.Generator()  # the loader seeds its worker processes from it

    @property
    def sampler(self) -> "EpochBatches":
        """Where Lightning looks for what has a `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is next iterated over; one that is new begins with its first batch."""
        if epoch != self._epoch:
            self._epoch, self._skip = epoch, 0

    def resume(self, epoch: int, batches: int) -> None:
        """Go on in *epoch*, of which *batches* are done."""
        self._epoch, self._skip = epoch, batches

    def __len__(self) -> int:
        return math.ceil(self._count / self._batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        self.generator.manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(self._count, generator=self.generator)
        seeds = torch.randint(2**31, (self._count,), generator=self.generator)
        drawn = list(zip(order.tolist(), seeds.tolist(), strict=True))
        missing = -self._count % self._batch_size % self._world
        drawn += (drawn * math.ceil(missing / self._count))[:missing]
        starts = range(self._skip * self._batch_size, len(drawn), self._batch_size)
        return iter([drawn[start : start + self._batch_size][self._rank :: self._world] for start in starts])


def require_even_share(batch_size: int, world: int) -> None:
    """Raise `InvalidOption` for a batch that does not go round."""
    if batch_size % world:
        raise InvalidOption(f"a batch of {batch_size} images cannot be shared by {world} processes evenly")


def position(trainer: Trainer, batches: int) -> tuple[int, int]:
    """Return the epoch that a run is in, from 0, and how many of its *batches* are done."""
    epoch: Any = trainer.fit_loop.epoch_progress.current  # Lightning's annotation knows less of it than there is
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return epoch.processed, done if done < batches else 0


class Batches(LightningDataModule):
    """The training and validation splits of a data set, for the process that asks."""

    def __init__(self, dataset: data.Dataset, config: FitConfig, workers: int) -> None:
        super().__init__()
        self._dataset, self._config, self._workers = dataset, config, workers

    def train_dataloader(self) -> Loader:
        """Return the augmented training split, set to where the run is."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("batches are dealt out by a trainer")
        dataset, config = self._dataset, self._config
        batches = EpochBatches(
            len(dataset.train.files), config.batch_size, config.seed, trainer.global_rank, trainer.world_size
        )
        batches.resume(*position(trainer, len(batches)))
        vary = augment.chosen(config, dataset.geometry)
        images = data.Images(dataset.train, dataset.geometry, vary)
        return DataLoader(images, batch_sampler=batches, num_workers=self._workers, generator=batches.generator)

    def val_dataloader(self) -> Loader:
        """Return this process's share of the validation split; no image is counted twice."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("batches are dealt out by a trainer")
        images = data.Images(self._dataset.validation, self._dataset.geometry)
        share = Subset(images, range(trainer.global_rank, len(images), trainer.world_size))
        # a generator of its own: the global one belongs to augmentation and dropout
        return DataLoader(share, VALIDATION_BATCH, num_workers=self._workers, generator=torch.Generator())
