"""MNIST and Fashion-MNIST: four IDX files in a folder, plain or gzipped, as their authors publish them.

The IDX format is that of http://yann.lecun.com/exdb/mnist (and of H. Xiao et al., arXiv:1708.07747): two zero
bytes, the type of a value, the number of dimensions, each dimension as a big-endian int32, the values.
"""

import gzip
import io
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from training.data.dataset import ClassIds, Dataset, Pixels, Split
from training.data.files import EncodedPixels
from training.data.geometry import choose
from training.data.split import VALIDATION_SHARE, hold_out
from training.errors import InvalidData
from training.options import DataOptions

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
UNSIGNED_BYTE = 0x08
MAX_BYTES = 2**30  # 22,000 times 28×28×60; a header that says more is damaged


def load_mnist(folder: Path, options: DataOptions) -> Dataset:
    """Return MNIST; validation is a stratified tenth of the published training images."""
    return _load("mnist", tuple("0123456789"), folder, options)


def load_fashion_mnist(folder: Path, options: DataOptions) -> Dataset:
    """Return Fashion-MNIST, split as MNIST is."""
    return _load("fashion-mnist", FASHION, folder, options)


def read_idx(path: Path) -> Pixels:
    """Return the unsigned bytes of an IDX file in its dimensions; raises `InvalidData`."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not zipped:
                return _parse(path, file)
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _parse(path, io.BufferedReader(unzipped))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidData(f"{path}: truncated or damaged gzip file") from error


def _parse(path: Path, file: BinaryIO) -> Pixels:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or head[3] == 0:
        raise InvalidData(f"{path}: not an IDX file of unsigned bytes")
    dimensions = file.read(4 * head[3])
    if len(dimensions) < 4 * head[3]:
        raise InvalidData(f"{path}: truncated in its header")
    shape = tuple(int.from_bytes(dimensions[start : start + 4]) for start in range(0, len(dimensions), 4))
    count = math.prod(shape)
    if count > MAX_BYTES:
        raise InvalidData(f"{path}: its header says {count:,} bytes, more than {MAX_BYTES:,}")
    content = file.read(count + 1)
    if len(content) < count:
        raise InvalidData(f"{path}: truncated: its header says {count:,} bytes, there are {len(content):,}")
    if len(content) > count:
        raise InvalidData(f"{path}: its header says {count:,} bytes, there are more")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _load(kind: str, labels: tuple[str, ...], folder: Path, options: DataOptions) -> Dataset:
    images, class_ids = _part(folder, "train", len(labels))
    test_images, test_ids = _part(folder, "t10k", len(labels))
    train, validation = hold_out(class_ids, VALIDATION_SHARE, where=folder)
    return Dataset(
        kind,
        labels,
        choose(kind, options),
        Split(EncodedPixels(images[train]), class_ids[train]),
        Split(EncodedPixels(images[validation]), class_ids[validation]),
        Split(EncodedPixels(test_images), test_ids),
    )


def _part(folder: Path, part: str, num_classes: int) -> tuple[Pixels, ClassIds]:
    image_path, label_path = _find(folder, f"{part}-images", 3), _find(folder, f"{part}-labels", 1)
    images, class_ids = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3:
        raise InvalidData(f"{image_path}: {images.ndim} dimensions; grey images of one channel have 3")
    if class_ids.shape != images.shape[:1]:
        raise InvalidData(f"{label_path}: labels of shape {class_ids.shape} for {len(images):,} images")
    if not len(images) or class_ids.max() >= num_classes:
        raise InvalidData(f"{label_path}: no labels, or some that are not below {num_classes}")
    return images, class_ids.astype(np.int64)


def _find(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte{zipped}" for dot in "-." for zipped in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InvalidData(f"{folder}: no {names[0]}, plain or .gz")
