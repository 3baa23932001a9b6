"""training/data/mnist.py: IDX files, plain and gzipped, whole and damaged."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import data
from training.data.mnist import read_idx
from training.errors import InvalidData


def idx(values: np.ndarray) -> bytes:
    """The bytes of an IDX file."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def make_mnist(folder: Path, *, zipped: bool = False, dot: str = "-") -> tuple[np.ndarray, np.ndarray]:
    """Write 200 training and 50 test images of random pixels; return those to test on and their labels."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 50)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        for stem, values in ((f"{part}-images{dot}idx3-ubyte", images), (f"{part}-labels{dot}idx1-ubyte", labels)):
            content = gzip.compress(idx(values)) if zipped else idx(values)
            (folder / (stem + ".gz" * zipped)).write_bytes(content)
    return images, labels


@pytest.mark.parametrize(("zipped", "dot"), [(False, "-"), (True, "-"), (False, ".")])
@pytest.mark.parametrize("kind", ["mnist", "fashion-mnist"])
def test_the_published_files_are_read(kind: str, zipped: bool, dot: str, tmp_path: Path) -> None:
    """Plain or gzipped; validation is a tenth of the training images, and every pixel is what it was."""
    images, labels = make_mnist(tmp_path, zipped=zipped, dot=dot)

    dataset = data.load(f"{kind}:{tmp_path}")

    assert [len(part.files) for part in (dataset.train, dataset.validation, dataset.test)] == [180, 20, 50]
    assert np.bincount(dataset.validation.class_ids).tolist() == [2] * 10
    assert (dataset.name, len(dataset.labels), dataset.geometry.shape) == (kind, 10, (28, 28, 1))
    np.testing.assert_array_equal(dataset.test.class_ids, labels)
    for file, want in zip(dataset.test.files, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), want)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file of unsigned bytes"),
        (b"a text file", "not an IDX file of unsigned bytes"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file of unsigned bytes"),  # floats
        (b"\0\0\x08\x03\0\0", "truncated in its header"),
        (idx(np.zeros((10, 28, 28)))[:-1], "truncated: its header says 7,840 bytes, there are 7,839"),
        (idx(np.zeros((10, 28, 28))) + b"\0", "its header says 7,840 bytes, there are more"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "its header says 79,228,162,458,924,105,385,300,197,375 bytes"),
        (gzip.compress(idx(np.zeros((10, 28, 28))))[:-9], "truncated or damaged gzip file"),
        (gzip.compress(idx(np.zeros((10, 28, 28))))[:12] + b"damage", "truncated or damaged gzip file"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    """In one line, with the numbers."""
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)

    with pytest.raises(InvalidData) as caught:
        read_idx(path)

    assert str(caught.value).startswith(f"{path}: {message}")


def test_files_that_are_missing_or_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """Images in colour, labels of another number, classes that there are none of."""
    with pytest.raises(InvalidData, match=r"no train-images-idx3-ubyte, plain or \.gz"):
        data.load(f"mnist:{tmp_path}")
    make_mnist(tmp_path)
    for name, values, message in [
        ("t10k-images-idx3-ubyte", np.zeros((50, 28, 28, 3)), "4 dimensions; grey images of one channel have 3"),
        ("t10k-labels-idx1-ubyte", np.zeros(49), "labels of shape"),
        ("t10k-labels-idx1-ubyte", np.full(50, 10), "not below 10"),
    ]:
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(idx(values))
        with pytest.raises(InvalidData, match=message):
            data.load(f"mnist:{tmp_path}")
        (tmp_path / name).write_bytes(before)
