"""A data set in memory: labels, geometry, three splits of image files, and how torch's loader draws from a split.

Knows no data set in particular and nothing of where its files come from.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from models.preprocess import DecodeLimits, decode, fit, open_image, preprocess
from models.spec import Geometry

LIMITS = DecodeLimits()
WHOLE = {"resize": "stretch", "resize_px": None}  # of a geometry: take all of the image

Files = Sequence[bytes]
Pixels = npt.NDArray[np.uint8]
ClassIds = npt.NDArray[np.int64]
Augment = Callable[[Image.Image, random.Random], Image.Image]


@dataclass(frozen=True, slots=True)
class Split:
    """Image files and the class of each."""

    files: Files
    class_ids: ClassIds  # (N,)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set with the geometry that suits its images."""

    name: str
    labels: tuple[str, ...]
    geometry: Geometry
    train: Split
    validation: Split
    test: Split


def batches(files: Files, geometry: Geometry, batch_size: int) -> Iterator[Pixels]:
    """Prepare image files as the service does; yields uint8 (≤ batch_size, H, W, C), in order."""
    for start in range(0, len(files), batch_size):
        yield np.stack([preprocess(file, geometry, LIMITS) for file in files[start : start + batch_size]])


class Images(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A split as torch's loader wants it: uint8 (H, W, C) and class_id; without *augment*, exactly what is served."""

    def __init__(self, split: Split, geometry: Geometry, augment: Augment | None = None) -> None:
        self._split = split
        self._geometry = geometry
        self._augment = augment
        # a variation has been cropped already
        self._last = geometry if augment is None else geometry.model_copy(update=WHOLE)

    def __len__(self) -> int:
        return len(self._split.files)

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[torch.Tensor, int]:
        """Return an image by its index, or by its index and the seed of its variation."""
        index, seed = key if isinstance(key, tuple) else (key, 0)
        image = decode(open_image(self._split.files[index], self._geometry, LIMITS), self._geometry)
        if self._augment is not None:
            image = self._augment(image, random.Random(seed))  # noqa: S311 - no secret
        return torch.tensor(fit(image, self._last)), int(self._split.class_ids[index])
