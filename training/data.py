"""What there is to learn from: data sets as image *files* with labels, split into train, validation and test.

Images stay the bytes of their files until they are used, so that evaluation goes through models/preprocess.py as a
request does. Does not know what is trained on them.
"""

import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from models.preprocess import DecodeLimits, decode, fit, open_image, preprocess
from models.spec import Geometry
from training.errors import UnknownName

SPLIT_SEED = 0  # one split for all runs, whatever their own seed: their test figures can be compared
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
LIMITS = DecodeLimits()

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


def load(name: str) -> Dataset:
    """Return a data set; raises `UnknownName` that lists the known ones."""
    if name not in DATASETS:
        raise UnknownName(f"no data set {name!r}; there are: {', '.join(sorted(DATASETS))}")
    return DATASETS[name]()


def stratified(class_ids: ClassIds, seed: int = SPLIT_SEED) -> tuple[ClassIds, ClassIds, ClassIds]:
    """Split 70/10/20, each part with each class in proportion; return the indices of train, validation and test."""
    indices = np.arange(len(class_ids))
    rest, test = train_test_split(indices, test_size=TEST_SHARE, stratify=class_ids, random_state=seed)
    share = VALIDATION_SHARE / (1 - TEST_SHARE)  # of what is left
    train, validation = train_test_split(rest, test_size=share, stratify=class_ids[rest], random_state=seed)
    return train, validation, test


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

    def __len__(self) -> int:
        return len(self._split.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = decode(open_image(self._split.files[index], self._geometry, LIMITS), self._geometry)
        if self._augment is not None:
            # torch's generator is the one that a loader seeds in each of its worker processes
            image = self._augment(image, random.Random(int(torch.randint(2**31, ()))))  # noqa: S311 - no secret
        return torch.tensor(fit(image, self._geometry)), int(self._split.class_ids[index])


def _digits() -> Dataset:
    """Return the 1,797 handwritten digits that come with scikit-learn: 8×8 scans, white on black, 17 greys."""
    bunch = load_digits()
    files = [_png(np.rint(scan * (255 / 16)).astype(np.uint8)) for scan in bunch.images]
    class_ids = bunch.target.astype(np.int64)
    train, validation, test = (Split([files[i] for i in part], class_ids[part]) for part in stratified(class_ids))
    geometry = Geometry(mode="L", height=28, width=28, interpolation="bicubic", jpeg_draft=True, background=(0, 0, 0))
    return Dataset("digits", tuple(str(digit) for digit in bunch.target_names), geometry, train, validation, test)


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


DATASETS: Mapping[str, Callable[[], Dataset]] = {"digits": _digits}
