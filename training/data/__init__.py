"""What there is to learn from: data sets as image *files* with labels, split into train, validation and test.

Images stay the bytes of their files until they are used, so that evaluation goes through models/preprocess.py as a
request does. Does not know what is trained on them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from training.data import cifar10, digits, folder, mnist
from training.data.dataset import (
    LIMITS,
    Augment,
    ClassIds,
    Dataset,
    Files,
    Images,
    Pixels,
    Split,
    batches,
)
from training.data.split import stratified
from training.errors import InvalidData, InvalidOption, UnknownName
from training.options import DataOptions

__all__ = [
    "DATASETS",
    "LIMITS",
    "Augment",
    "ClassIds",
    "Dataset",
    "Files",
    "Images",
    "Pixels",
    "Split",
    "batches",
    "load",
    "resolve",
    "stratified",
]

DEFAULTS = DataOptions()

# what a data set is loaded from: nothing, or the folder after the colon
DATASETS: Mapping[str, Callable[[Path, DataOptions], Dataset]] = {
    "digits": digits.load,
    "mnist": mnist.load_mnist,
    "fashion-mnist": mnist.load_fashion_mnist,
    "cifar10": cifar10.load,
    "folder": folder.load,
}
BUNDLED = frozenset({"digits"})


def load(source: str, options: DataOptions = DEFAULTS) -> Dataset:
    """Return the data set that *source* names: `digits`, `mnist:PATH`, `cifar10:PATH`, `folder:PATH` and so on.

    Raises `UnknownName` that lists the known ones, `InvalidOption`, or `InvalidData` for files that nothing can be
    learned from.
    """
    kind, _, place = source.partition(":")
    if kind not in DATASETS:
        raise UnknownName(f"no data set {source!r}; there are: {', '.join(known())}")
    if kind in BUNDLED and place:
        raise InvalidOption(f"{kind} comes with the program and takes no path: {source!r}")
    if kind not in BUNDLED:
        if not place:
            raise InvalidOption(f"{kind} needs the path of its files: {kind}:PATH")
        if not Path(place).is_dir():
            raise InvalidData(f"{place}: no such folder")
    return DATASETS[kind](Path(place), options)


def resolve(source: str) -> str:
    """Return *source* with an absolute path, so that it means the same from any working directory."""
    kind, _, place = source.partition(":")
    return f"{kind}:{Path(place).resolve()}" if place else kind


def known() -> list[str]:
    """Return how each kind of data set is asked for."""
    return [kind if kind in BUNDLED else f"{kind}:PATH" for kind in sorted(DATASETS)]
