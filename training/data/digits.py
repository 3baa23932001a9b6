"""The 1,797 handwritten digits that come with scikit-learn: 8×8 scans, white on black, 17 greys."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from training.data.dataset import Dataset, Split
from training.data.files import png
from training.data.geometry import choose
from training.data.split import stratified
from training.options import DataOptions


def load(_: Path, options: DataOptions) -> Dataset:
    """Return the digits, split 70/10/20."""
    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    class_ids = bunch.target.astype(np.int64)
    files = [png(scan) for scan in pixels]
    train, validation, test = (Split([files[i] for i in part], class_ids[part]) for part in stratified(class_ids))
    labels = tuple(str(digit) for digit in bunch.target_names)
    return Dataset("digits", labels, choose("digits", options), train, validation, test)
