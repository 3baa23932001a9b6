"""training/data/cifar10.py: both published versions, and pickles that want more than arrays."""

import io
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training import data
from training.data.cifar10 import unpickle_arrays
from training.errors import InvalidData

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def make_cifar10(folder: Path, version: str) -> tuple[np.ndarray, np.ndarray]:
    """Write six batches of 20 images of random pixels; return those to test on, (N, 3, 32, 32), and their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in NAMES:
        rows, labels = rng.integers(0, 256, (20, 3072), np.uint8), np.arange(20) % 10
        if version == "python":
            (folder / name).write_bytes(pickle.dumps({b"data": rows, b"labels": labels.tolist()}, protocol=2))
        else:
            records = np.concatenate([labels.astype(np.uint8)[:, None], rows], axis=1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
    return rows.reshape(-1, 3, 32, 32), labels


@pytest.mark.parametrize(
    ("version", "place"), [("python", ""), ("python", "cifar-10-batches-py"), ("binary", "cifar-10-batches-bin")]
)
def test_the_published_batches_are_read(version: str, place: str, tmp_path: Path) -> None:
    """Red, green and blue planes become pixels; validation is a tenth of the training images."""
    images, labels = make_cifar10(tmp_path / place, version)

    dataset = data.load(f"cifar10:{tmp_path}")

    assert [len(part.files) for part in (dataset.train, dataset.validation, dataset.test)] == [90, 10, 20]
    assert dataset.labels[:3] == ("airplane", "automobile", "bird")
    assert dataset.geometry.shape == (32, 32, 3)
    np.testing.assert_array_equal(dataset.test.class_ids, labels)
    for file, want in zip(dataset.test.files, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1), want)


def test_pickles_of_python_2_are_read() -> None:
    """As the published ones are: texts of eight bits, an array by the old name of NumPy's module."""
    dumped = pickle.dumps({b"data": np.arange(6, dtype=np.uint8).reshape(2, 3)}, protocol=2)
    old = dumped.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != dumped

    np.testing.assert_array_equal(unpickle_arrays(old)[b"data"], [[0, 1, 2], [3, 4, 5]])


class Shell:
    """Pickled, it is a command for the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def test_a_pickle_that_wants_more_than_arrays_runs_nothing(tmp_path: Path) -> None:
    """It is refused by the name that it mentions."""
    make_cifar10(tmp_path, "python")
    marker = tmp_path / "was here"
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Shell(marker)}))

    with pytest.raises(InvalidData, match=r"data_batch_3: .*mentions posix\.system"):
        data.load(f"cifar10:{tmp_path}")

    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2", b"text", "data_batch_2: not a CIFAR-10 batch, or truncated"),
        ("data_batch_2", pickle.dumps([1]), "data_batch_2: not a CIFAR-10 batch, or truncated"),
        (
            "data_batch_2",
            pickle.dumps({b"data": np.zeros((9, 1024), np.uint8), b"labels": [0] * 9}),
            "data_batch_2: 1024 values an image, 1 channels; there must be 3 of 32×32",
        ),
        (
            "data_batch_2",
            pickle.dumps({b"data": np.zeros((9, 3072), np.uint8), b"labels": [0] * 8}),
            "data_batch_2: 9 images with 8 labels",
        ),
        (
            "data_batch_2",
            pickle.dumps({b"data": np.zeros((9, 3072), np.uint8), b"labels": [10] * 9}),
            "data_batch_2: a label is not below 10",
        ),
        (
            "data_batch_2.bin",
            bytes(3072),
            ("data_batch_2.bin: truncated, or not 3 channels of 32×32: 3,072 bytes are no multiple of 3,073"),
        ),
    ],
)
def test_a_damaged_batch_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    """In one line, with the numbers."""
    make_cifar10(tmp_path, "python" if name[-1] == "2" else "binary")
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidData) as caught:
        data.load(f"cifar10:{tmp_path}")

    assert str(caught.value).startswith(str(tmp_path / message))


def test_a_folder_without_batches_is_refused(tmp_path: Path) -> None:
    """So are batches to train on without one to test on, and the other way round."""
    with pytest.raises(InvalidData, match="no test_batch"):
        data.load(f"cifar10:{tmp_path}")
    make_cifar10(tmp_path, "binary")
    for name in NAMES[:-1]:
        (tmp_path / f"{name}.bin").unlink()
    with pytest.raises(InvalidData, match=r"no data_batch_1\.bin"):
        data.load(f"cifar10:{tmp_path}")


@pytest.mark.parametrize(("version", "end"), [("python", ""), ("binary", ".bin")])
def test_a_batch_that_is_missing_is_named(version: str, end: str, tmp_path: Path) -> None:
    """Four of five are another data set."""
    make_cifar10(tmp_path, version)
    (tmp_path / f"data_batch_4{end}").unlink()

    with pytest.raises(InvalidData) as caught:
        data.load(f"cifar10:{tmp_path}")

    assert str(caught.value) == f"{tmp_path}: no data_batch_4{end}; CIFAR-10 has 5 batches to train on and one to test"


@pytest.mark.parametrize("places", [("", ""), ("cifar-10-batches-py", "cifar-10-batches-bin")])
def test_of_both_versions_one_is_read(
    places: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The python one, no image twice, and a warning says so."""
    for version, place in zip(("python", "binary"), places, strict=True):
        make_cifar10(tmp_path / place, version)

    with caplog.at_level(logging.WARNING):
        dataset = data.load(f"cifar10:{tmp_path}")

    assert [len(part.files) for part in (dataset.train, dataset.validation, dataset.test)] == [90, 10, 20]
    used, left = (tmp_path / place / name for place, name in zip(places, ("test_batch", "test_batch.bin"), strict=True))
    assert caplog.messages == [f"{tmp_path}: CIFAR-10 is here more than once; read: {used}, left out: {left}"]
