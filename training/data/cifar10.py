"""CIFAR-10 as its author publishes it: five batches to train on and one to test, in the "python" or "binary" version.

The format is that of https://www.cs.toronto.edu/~kriz/cifar.html. The python version is pickled; what unpickles it
here makes arrays and nothing else, so that a file from anywhere runs no code.
"""

import codecs
import io
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from training.data.dataset import ClassIds, Dataset, Pixels, Split
from training.data.files import EncodedPixels
from training.data.geometry import choose
from training.data.split import VALIDATION_SHARE, hold_out
from training.errors import InvalidData
from training.options import DataOptions

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
ENDS = ("", ".bin")  # of the python version, of the binary one
FOLDERS = ("", "cifar-10-batches-py", "cifar-10-batches-bin")  # as they are unpacked
SIDE_PX, CHANNELS = 32, 3
VALUES = CHANNELS * SIDE_PX * SIDE_PX
MAX_BYTES = 2**28  # a published batch has 31 MB

Part = tuple[Pixels, ClassIds]

logger = logging.getLogger(__name__)


def load(folder: Path, options: DataOptions) -> Dataset:
    """Return CIFAR-10; validation is a stratified tenth of the published training images."""
    place, end = _find(folder)
    images, class_ids = _read(place, TRAIN, end)
    test_images, test_ids = _read(place, TEST, end)
    train, validation = hold_out(class_ids, VALIDATION_SHARE, where=place)
    return Dataset(
        "cifar10",
        LABELS,
        choose("cifar10", options),
        Split(EncodedPixels(images[train]), class_ids[train]),
        Split(EncodedPixels(images[validation]), class_ids[validation]),
        Split(EncodedPixels(test_images), test_ids),
    )


def _find(folder: Path) -> tuple[Path, str]:
    """Return where the batches are, and how their names end: one version, though both may be there."""
    found = [(folder / name, end) for name in FOLDERS for end in ENDS if (folder / name / f"{TEST[0]}{end}").is_file()]
    if not found:
        raise InvalidData(f"{folder}: no test_batch or test_batch.bin, here or in {FOLDERS[1]} or {FOLDERS[2]}")
    used, *others = [place / f"{TEST[0]}{end}" for place, end in found]
    if others:
        logger.warning("%s: CIFAR-10 is here more than once; read: %s, left out: %s", folder, used, others[0])
    return found[0]


def _read(folder: Path, names: tuple[str, ...], end: str) -> Part:
    paths = [folder / f"{name}{end}" for name in names]
    for path in paths:
        if not path.is_file():
            raise InvalidData(
                f"{folder}: no {path.name}; CIFAR-10 has {len(TRAIN)} batches to train on and one to test"
            )
    parts = [_read_batch(path) for path in paths]
    return np.concatenate([images for images, _ in parts]), np.concatenate([class_ids for _, class_ids in parts])


def _read_batch(path: Path) -> Part:
    """Return images (N, 32, 32, 3) and class_ids (N,)."""
    if path.stat().st_size > MAX_BYTES:
        raise InvalidData(f"{path}: {path.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
    content = path.read_bytes()
    rows, class_ids = _parse_binary(path, content) if path.suffix == ".bin" else _parse_pickle(path, content)
    if not len(rows) or len(rows) != len(class_ids):
        raise InvalidData(f"{path}: {len(rows):,} images with {len(class_ids):,} labels")
    if class_ids.min() < 0 or class_ids.max() >= len(LABELS):
        raise InvalidData(f"{path}: a label is not below {len(LABELS)}")
    # a row is the red plane, the green, the blue
    return rows.reshape(-1, CHANNELS, SIDE_PX, SIDE_PX).transpose(0, 2, 3, 1), class_ids


def _parse_binary(path: Path, content: bytes) -> Part:
    if len(content) % (1 + VALUES):
        raise InvalidData(
            f"{path}: truncated, or not {CHANNELS} channels of {SIDE_PX}×{SIDE_PX}: "
            f"{len(content):,} bytes are no multiple of {1 + VALUES:,}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + VALUES)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _parse_pickle(path: Path, content: bytes) -> Part:
    try:
        batch = unpickle_arrays(content)
        rows, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except Exception as error:  # damaged pickles make the unpickler raise almost anything
        raise InvalidData(f"{path}: not a CIFAR-10 batch, or truncated: {error}") from error
    if rows.dtype != np.uint8 or rows.ndim != 2:
        raise InvalidData(f"{path}: its data is {rows.dtype} in {rows.ndim} dimensions, not bytes in rows")
    if rows.shape[1] != VALUES:
        channels = rows.shape[1] / SIDE_PX**2
        raise InvalidData(
            f"{path}: {rows.shape[1]} values an image, {channels:g} channels; "
            f"there must be {CHANNELS} of {SIDE_PX}×{SIDE_PX}"
        )
    if labels.dtype.kind != "i" or labels.ndim != 1:
        raise InvalidData(f"{path}: labels are not whole numbers")
    return rows, labels.astype(np.int64)


def unpickle_arrays(content: bytes) -> Any:
    """Unpickle numbers, texts, lists, dictionaries and NumPy arrays; raises `pickle.UnpicklingError` at all else."""
    return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()


class _ArraysOnly(pickle.Unpickler):
    """Knows the four names that a pickled array mentions, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the object of a known name."""
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("_codecs", "encode"): codecs.encode,  # bytes, in pickles of old protocols
        }
        package = "numpy" if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        if (package, name) not in known:
            raise pickle.UnpicklingError(f"it mentions {module}.{name}, which no array needs")
        return known[package, name]
